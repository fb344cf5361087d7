"""A disk without room: a clear answer, nothing half kept, and on again once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from services.db.session import SessionFactory
from services.settings import Settings
from tests.factories import assert_problem, counts, kept_files, parts, upload
from tests.signals import made_files

SIZE = 1_000_000  # bytes of the disk
NOTHING = {"records": 0, "predictions": 0, "jobs": 0}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte, in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def cramped(settings: Settings, small_disk: Path) -> Settings:
    return settings.model_copy(update={"data_dir": small_disk})


@pytest.mark.usefixtures("fake_model")
@pytest.mark.parametrize("path", ["/v1/records", "/v1/predict/beats"])
def test_a_full_disk_is_said_and_later_all_is_well(
    cramped: Settings, sessions: SessionFactory, path: str
) -> None:
    app = create_app(cramped)
    with TestClient(app, client=("127.0.0.1", 50000), raise_server_exceptions=False) as client:
        ballast = cramped.data_dir / "ballast"
        ballast.write_bytes(bytes(SIZE - 30_000))
        answer = client.post(path, files=parts(made_files(duration_s=60)))
        assert_problem(answer, 503, "full")
        assert answer.headers["retry-after"]
        assert counts(sessions) == NOTHING
        assert kept_files(cramped) == []
        assert list((cramped.data_dir / "tmp").iterdir()) == []
        assert client.get("/v1/records").json()["data"] == []
        ballast.unlink()
        assert upload(client, made_files(duration_s=60))["n_samples"] == 60 * 360
