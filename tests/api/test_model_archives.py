"""A version that was downloaded here is imported elsewhere, and answers the same."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.imports.runner import ImportRunner
from services.jobs.dispatch import IMPORT_MODEL
from services.models.families import FAMILIES, IMPORTERS
from services.models.results import BeatResult
from services.registry import service as registry
from services.registry.files import version_folder
from services.settings import Settings
from services.storage.factory import store_for
from services.training.progress import NoProgress
from tests.conftest import forget_model
from tests.factories import assert_problem, parts
from tests.fakes import EagerDispatcher
from tests.labelled import archive
from tests.services.models.ecgbert.tiny import made_record

PATH = "/v1/models/import"
DOWNLOAD = "/v1/models/ecgbert-beats/versions/{}/download"
COPY = "copy"


@pytest.fixture
def client(api: TestClient, sessions: SessionFactory) -> Iterator[TestClient]:
    """The API; its worker is a thread with the real importers."""
    state: Any = api.app.state.ectopy  # type: ignore[attr-defined]
    state.dispatcher = EagerDispatcher(sessions, state.store)
    state.dispatcher._runners[IMPORT_MODEL] = ImportRunner(
        sessions, state.store, IMPORTERS, tempfile.TemporaryDirectory
    )
    yield api
    state.dispatcher.wait()
    with sessions.begin() as session:
        forget_model(session, COPY)


@pytest.fixture
def downloaded(client: TestClient) -> bytes:
    newest = client.get("/v1/models/ecgbert-beats/versions").json()["data"][0]["version"]
    answer = client.get(DOWNLOAD.format(newest))
    assert answer.status_code == 200
    return answer.content


def sent(client: TestClient, content: bytes, **fields: Any) -> Any:
    return client.post(PATH, files=parts({"model.zip": content}), data=fields)


def answer_of(sessions: SessionFactory, settings: Settings, name: str, number: int) -> BeatResult:
    with sessions() as session:
        row = registry.version(session, DEFAULT_PROJECT, name, number)
    with version_folder(store_for(settings), row.location, row.sha256) as folder:
        predictor = FAMILIES[row.card["family"]].load(folder, device="cpu")
    result = predictor.predict(made_record()[0], options={}, progress=NoProgress())
    assert isinstance(result, BeatResult)
    return result


def test_a_download_imported_elsewhere_gives_the_same_answers(
    client: TestClient, downloaded: bytes, sessions: SessionFactory, settings: Settings
) -> None:
    answer = sent(client, downloaded, name=COPY)
    assert answer.status_code == 201, answer.text
    version = answer.json()
    newest = client.get("/v1/models/ecgbert-beats/versions").json()["data"][0]
    assert (version["name"], version["version"], version["task"]) == (COPY, 1, "beats")
    assert version["sha256"] == newest["sha256"]
    assert {**version["card"], "name": "ecgbert-beats"} == newest["card"]
    ours = answer_of(sessions, settings, "ecgbert-beats", newest["version"])
    theirs = answer_of(sessions, settings, COPY, 1)
    np.testing.assert_array_equal(ours.sample, theirs.sample)
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    again = sent(client, downloaded, name=COPY)
    assert again.status_code == 200, again.text
    assert (again.status_code, again.json()["version"]) == (200, 1)


def test_a_second_trip_keeps_every_byte(client: TestClient, downloaded: bytes) -> None:
    """What is imported under its own name has the same content hash wherever it is."""
    first = sent(client, downloaded, name=COPY).json()
    back = client.get(f"/v1/models/{COPY}/versions/1/download").content
    again = sent(client, back)
    assert (again.status_code, again.json()["content_sha256"]) == (200, first["content_sha256"])
    with zipfile.ZipFile(io.BytesIO(back)) as packed:
        assert "copy-1/training_beats.npz" in packed.namelist()


def changed(content: bytes, **card: Any) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    at = next(name for name in files if name.endswith("/card.json"))
    files[at] = json.dumps({**json.loads(files[at]), **card}).encode()
    return files


def test_another_card_with_the_same_weights_is_another_version(
    client: TestClient, downloaded: bytes
) -> None:
    first = sent(client, downloaded, name=COPY).json()
    answer = sent(client, archive(changed(downloaded, limits="children")), name=COPY)
    assert answer.status_code == 201, answer.text
    assert (answer.status_code, answer.json()["version"]) == (201, 2)
    assert answer.json()["sha256"] == first["sha256"]


def test_the_name_of_a_model_that_comes_with_ectopy_is_taken(
    client: TestClient, downloaded: bytes
) -> None:
    assert_problem(sent(client, downloaded), 409, "comes with Ectopy; choose another")


@pytest.mark.parametrize(
    ("card", "status", "says"),
    [
        ({"family": "other"}, 422, "does not know"),
        ({"task": "afib-5y"}, 422, "does not know"),
        ({"name": "../up"}, 400, "no name that one can have"),
        ({"architecture": {"width": 10**9}}, 400, "width"),
        ({"labels": ["N", "S"]}, 400, "labels"),
    ],
    ids=str,
)
def test_a_card_that_does_not_fit_is_refused(
    client: TestClient,
    downloaded: bytes,
    settings: Settings,
    card: dict[str, Any],
    status: int,
    says: str,
) -> None:
    answer = sent(client, archive(changed(downloaded, **card)), name=COPY)
    assert_problem(answer, status, says)
    client.app.state.ectopy.dispatcher.wait()  # type: ignore[attr-defined]
    assert not [p for p in (settings.store_dir / "models").rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    "files",
    [
        {"a/card.json": b"{}"},
        {"a/weights.safetensors": b"x"},
        {"a/card.json": b"[" * 100_000, "a/weights.safetensors": b"x"},
        {"a/card.json": b"{}", "b/card.json": b"{}", "a/weights.safetensors": b"x"},
        {"../card.json": b"{}"},
    ],
    ids=["no weights", "no card", "deep", "two", "outside"],
)
def test_an_archive_that_is_none_of_ours_is_refused_at_once(
    client: TestClient, files: dict[str, bytes]
) -> None:
    assert_problem(sent(client, archive(files), name=COPY), 400)


def test_weights_that_are_damaged_are_refused(client: TestClient, downloaded: bytes) -> None:
    files = changed(downloaded)
    at = next(name for name in files if name.endswith(".safetensors"))
    files[at] = files[at][:-100]
    assert_problem(sent(client, archive(files), name=COPY), 400, "weights.safetensors")


def test_an_archive_for_another_task_than_was_said_is_refused(
    client: TestClient, downloaded: bytes
) -> None:
    answer = sent(client, downloaded, name=COPY, task="afib-5y")
    assert_problem(answer, 422, "is for the task beats, not for afib-5y")
