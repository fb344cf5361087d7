"""Bringing a model in over HTTP: what is answered, what is kept, what is given back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import load
from sqlalchemy import func, select

from services.db.session import SessionFactory
from services.imports.row import ModelImportRow
from services.models.deepecg.importing import import_public
from services.settings import Settings
from tests.conftest import forget_model
from tests.factories import assert_problem, parts
from tests.fakes import EagerDispatcher, ListDispatcher
from tests.services.models.deepecg.small import SMALL, saved
from tests.services.models.deepecg.test_family import trained_tensors

PATH = "/v1/models/import"
NAMES = ("deepecg-afib-5y", "ours", "fake-risk")


@pytest.fixture
def client(api: TestClient, sessions: SessionFactory) -> Iterator[TestClient]:
    """The API; its worker is a thread that imports small networks for real."""
    state: Any = api.app.state.ectopy  # type: ignore[attr-defined]
    importer = partial(import_public, config=SMALL)
    state.dispatcher = EagerDispatcher(sessions, state.store, importer)
    yield api
    state.dispatcher.wait()
    with sessions.begin() as session:
        for name in NAMES:
            forget_model(session, name)


@pytest.fixture
def checkpoint(tmp_path: Path) -> dict[str, bytes]:
    file = saved(tmp_path / "wcr_afib_5y.pt", trained_tensors())
    return {file.name: file.read_bytes()}


def send(client: TestClient, files: dict[str, bytes], *, key: str = "", **fields: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(PATH, files=parts(files), data=fields, headers=headers)


def waiting_files(settings: Settings) -> list[Path]:
    return [path for path in settings.store_dir.rglob("*") if path.is_file()]


def test_a_checkpoint_becomes_a_version(client: TestClient, checkpoint: dict[str, bytes]) -> None:
    answer = send(client, checkpoint, name="ours", task="afib-5y")
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "/v1/models/ours/versions/1"
    version = answer.json()
    assert (version["name"], version["version"], version["promoted"]) == ("ours", 1, True)
    assert version["card"]["source"]["file"] == "wcr_afib_5y.pt"
    assert client.get("/v1/models/ours/versions/1").json() == version
    assert send(client, checkpoint, name="ours").status_code == 200


def test_the_import_itself_can_be_looked_at(
    client: TestClient, checkpoint: dict[str, bytes]
) -> None:
    answer = client.post(PATH, files=parts(checkpoint), headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    where = answer.headers["location"]
    assert client.get(where).json()["files"][0]["name"] == "wcr_afib_5y.pt"
    events = client.get(f"{where}/events").text  # ends with the job
    assert '"succeeded"' in events
    found = client.get(where).json()
    assert found["status"] == "succeeded"
    assert found["model"] == {"name": "deepecg-afib-5y", "version": 1}


def test_a_download_gives_weights_and_card_plainly(
    client: TestClient, checkpoint: dict[str, bytes]
) -> None:
    version = send(client, checkpoint, name="ours").json()
    answer = client.get("/v1/models/ours/versions/1/download")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["ours-1/weights.safetensors", "ours-1/card.json"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        weights = load(archive.read("ours-1/weights.safetensors"))
    assert weights["proj.weight"].tolist() == trained_tensors()["proj.weight"].tolist()
    assert version["sha256"]


def test_the_shipped_model_can_be_downloaded_too(api: TestClient) -> None:
    answer = api.get("/v1/models/ecgbert-beats/versions/1/download")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert {"ecgbert-beats-1/weights.safetensors", "ecgbert-beats-1/clusters.npz"} <= set(
            archive.namelist()
        )


def test_the_same_key_imports_once(
    client: TestClient, checkpoint: dict[str, bytes], sessions: SessionFactory
) -> None:
    first = send(client, checkpoint, key="k", name="ours")
    again = send(client, checkpoint, key="k", name="ours")
    assert first.json()["version"] == again.json()["version"] == 1
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(ModelImportRow)) == 1
    assert_problem(send(client, {"other.pt": b"x"}, key="k", name="ours"), 409, "another request")


@pytest.mark.parametrize(
    ("files", "fields", "status", "says"),
    [
        ({"x.pt": b"nothing"}, {}, 400, "x.pt: no archive as torch writes it"),
        ({"x.pt": b"\x80\x02cposix\nsystem\n."}, {}, 400, "would call posix.system"),
        ({"x.pt": b""}, {}, 400, "x.pt"),
        ({"x.pth": b"1"}, {"task": "beats"}, 422, "together with its clusters: P_cluster.pkl"),
        ({"x.pth": b"1", "c.npz": b"2"}, {"task": "afib-5y"}, 422, "2 files were sent"),
        ({"x.pt": b"1"}, {"task": "sleep"}, 422, "afib-5y"),
        ({"x.pt": b"1", "y.pt": b"2"}, {}, 422, "2 files were sent"),
        ({"x.pt": b"1"}, {"name": "../x"}, 422, "name"),
        ({"x.pt": b"1"}, {"name": "x" * 101}, 422, "name"),
        ({"x.pt": b"1"}, {"name": "fake-beats"}, 409, "for the task beats"),
        ({}, {}, 400, "no file"),
    ],
)
@pytest.mark.usefixtures("fake_model")
def test_what_is_no_model_is_refused_and_nothing_stays(
    client: TestClient,
    settings: Settings,
    files: dict[str, bytes],
    fields: dict[str, str],
    status: int,
    says: str,
) -> None:
    before = client.get("/v1/models").json()
    assert_problem(send(client, files, **fields), status, says)
    assert client.get("/v1/models").json() == before
    assert not [path for path in waiting_files(settings) if path.parts[-3] == "models"]


def test_an_import_that_no_worker_takes_says_where_to_look(
    api: TestClient, checkpoint: dict[str, bytes]
) -> None:
    api.app.state.ectopy.dispatcher = ListDispatcher()  # type: ignore[attr-defined]
    answer = api.post(PATH, files=parts(checkpoint), headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    assert_problem(api.get("/v1/models/imports/imp_x"), 404, "imp_x")


def test_a_body_beyond_the_limit_is_refused(api: TestClient) -> None:
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(10 * 1024**3),
    }
    assert_problem(api.post(PATH, headers=headers), 413, "ECTOPY_MAX_IMPORT_BYTES")
    headers["Content-Length"] = str(2 * 1024**3)
    assert_problem(api.post("/v1/records", headers=headers), 413, "ECTOPY_MAX_UPLOAD_BYTES")
