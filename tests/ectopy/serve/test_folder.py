from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import MARKER, DataFolder, write_private


def test_a_new_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path / "data")
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


def test_a_password_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path)
    password = folder.password("postgres")
    assert len(password) >= 32
    assert folder.password("postgres") == password
    assert folder.password("valkey") != password
    assert stat.S_IMODE(folder.password_file("postgres").stat().st_mode) == 0o600


def test_a_half_written_password_of_a_killed_run_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.with_suffix(".new").write_text("ha")
    write_private(path, "whole")
    assert path.read_text() == "whole"
    assert not path.with_suffix(".new").exists()


def test_a_file_where_the_folder_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(CannotServe, match=r"cannot make the data folder .*data: File exists"):
        DataFolder.open(tmp_path / "data")


def test_the_environment_is_marked_and_free_of_postgres_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("KEPT", "yes")
    folder = DataFolder.open(tmp_path)
    environment = folder.environment()
    assert "PGPORT" not in environment
    assert environment["KEPT"] == "yes"
    assert environment[MARKER] == folder.marker


def test_a_copy_of_a_folder_has_another_mark(tmp_path: Path) -> None:
    assert DataFolder.open(tmp_path / "a").marker != DataFolder.open(tmp_path / "b").marker


def test_the_lock_is_free_again_after_the_block(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path)
    for _ in range(2):
        with folder.locked():
            pass
