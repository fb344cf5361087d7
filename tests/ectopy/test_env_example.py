from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values

from ectopy.env_example import env_example
from services.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_kept_file_lists_every_setting_as_it_is() -> None:
    kept = (REPOSITORY / ".env.example").read_text()
    assert kept == env_example(), "`make env-example` writes it anew"


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_an_example_with_every_line_in_use_gives_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line.removeprefix("#") for line in env_example().splitlines()]
    used = [line for line in lines if line.startswith("ECTOPY_") and not line.endswith("=")]
    (tmp_path / ".env").write_text("\n".join(used))
    monkeypatch.chdir(tmp_path)
    for name in dotenv_values(tmp_path / ".env"):
        monkeypatch.delenv(name, raising=False)
    assert Settings() == Settings(_env_file=None)
