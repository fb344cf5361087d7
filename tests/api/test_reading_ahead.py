"""An upload is read while it is asked for by its hash, and what was read in vain is gone."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.db.session import SessionFactory
from services.predictions import service as predictions
from services.records import service as records
from services.settings import Settings
from tests.factories import assert_problem, counts, kept_files, parts, upload
from tests.signals import made_files

PATIENCE_S = 10.0
NO_WAIT = {"Prefer": "wait=0"}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of records that are read, a while after it was found out whether they are here."""
    found: list[str] = []
    read: Callable[..., Any] = records.read_new

    def late(*args: Any, record_id: str, **more: Any) -> Any:
        time.sleep(0.2)
        found.append(record_id)
        return read(*args, record_id=record_id, **more)

    monkeypatch.setattr(records, "read_new", late)
    return found


def test_an_upload_is_read_while_it_is_asked_for(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_read, read, begun = threading.Event(), records.read_new, predictions.begun

    def noted(*args: Any, **more: Any) -> Any:
        is_read.set()
        return read(*args, **more)

    def awaits(*args: Any, **more: Any) -> Any:
        assert is_read.wait(PATIENCE_S)
        return begun(*args, **more)

    monkeypatch.setattr(records, "read_new", noted)
    monkeypatch.setattr(predictions, "begun", awaits)
    answer = api.post("/v1/predict/beats", files=parts(made_files()), headers=NO_WAIT)
    assert answer.status_code == 202, answer.text


def test_a_known_record_keeps_only_what_it_had(
    api: TestClient, settings: Settings, sessions: SessionFactory, reads: list[str]
) -> None:
    known = upload(api, made_files())
    reads.clear()
    before = kept_files(settings)
    answer = api.post("/v1/predict/beats", files=parts(made_files()), headers=NO_WAIT)
    assert answer.json()["record_id"] == known["id"]
    assert len(reads) == 1
    assert kept_files(settings) == before
    assert counts(sessions)["records"] == 1


def test_a_refused_request_leaves_nothing_of_what_is_read_meanwhile(
    api: TestClient, settings: Settings, sessions: SessionFactory, reads: list[str]
) -> None:
    sent = {"files": parts(made_files()), "data": {"model": "nobody-knows"}}
    assert_problem(api.post("/v1/predict/beats", **sent), 404, "nobody-knows")  # type: ignore[arg-type]
    assert len(reads) == 1
    assert kept_files(settings) == []
    assert counts(sessions)["records"] == 0


def test_an_archive_is_not_read_in_vain(api: TestClient, reads: list[str]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in made_files().items():
            archive.writestr(name, content)
    once = {"a.zip": packed.getvalue()}
    known = upload(api, once)
    reads.clear()
    answer = api.post("/v1/predict/beats", files=parts(once), headers=NO_WAIT)
    assert answer.json()["record_id"] == known["id"]
    assert reads == []
