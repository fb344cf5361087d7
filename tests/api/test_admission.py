"""Many requests at once share few threads and connections, and long ones leave room for others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from api import dataset_requests
from api.main import create_app
from api.state import THREADS, ApiState
from services.errors import UnusableInput
from services.predictions import exports
from services.settings import Settings
from tests.factories import assert_problem, upload
from tests.processes import served
from tests.signals import made_files

MANY = 40
PATIENCE_S = 20.0


@pytest.fixture
def state_and_url(settings: Settings) -> Iterator[tuple[ApiState, str]]:
    app = create_app(settings)
    with served(app) as url:
        yield app.state.ectopy, url


def test_requests_that_come_at_once_make_no_connections_for_a_moment(
    state_and_url: tuple[ApiState, str],
) -> None:
    state, url = state_and_url
    held, is_full = [], threading.Event()

    def hold(*_: Any) -> None:
        """Keeps each statement's connection until as many as there may be are in use."""
        held.append(state.engine.pool.checkedout())  # type: ignore[attr-defined]
        if held[-1] >= THREADS:
            is_full.set()
        is_full.wait(PATIENCE_S)

    event.listen(state.engine, "before_cursor_execute", hold)
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client, ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda _: client.get("/v1/records").status_code, range(MANY)))
    assert answers == [200] * MANY
    assert max(held) == THREADS
    assert state.engine.pool.overflow() <= 0  # type: ignore[attr-defined]


def test_short_answers_do_not_wait_for_datasets(
    state_and_url: tuple[ApiState, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, url = state_and_url
    reading, go_on = threading.Semaphore(0), threading.Event()

    def read(*_: Any) -> None:
        reading.release()
        go_on.wait(PATIENCE_S)
        raise UnusableInput("read")

    monkeypatch.setattr(dataset_requests, "_of_archive", read)
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client, ThreadPoolExecutor(MANY) as pool:
        sent = {"files": {"file": ("a.zip", b"zip")}, "data": {"name": "d", "task": "beats"}}
        asked = [
            pool.submit(client.post, "/v1/datasets", **sent)  # type: ignore[arg-type]
            for _ in range(2 * THREADS)
        ]
        for _ in range(state.archives.at_once):
            assert reading.acquire(timeout=PATIENCE_S)
        try:
            assert client.get("/v1/records").status_code == 200
            assert not reading.acquire(blocking=False)
        finally:
            go_on.set()
        for answer in asked:
            assert_problem(answer.result(), 422, "read")


def test_short_answers_do_not_wait_for_downloads(
    state_and_url: tuple[ApiState, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, url = state_and_url
    writing, go_on = threading.Semaphore(0), threading.Event()

    def write(*_: Any, **__: Any) -> None:
        writing.release()
        go_on.wait(PATIENCE_S)
        raise UnusableInput("written")

    monkeypatch.setattr(exports, "write_record", write)
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client, ThreadPoolExecutor(MANY) as pool:
        record = upload(client, made_files())
        path = f"/v1/records/{record['id']}/download"
        asked = [pool.submit(client.get, path) for _ in range(2 * THREADS)]
        for _ in range(state.downloads.at_once):
            assert writing.acquire(timeout=PATIENCE_S)
        try:
            assert client.get("/v1/records").status_code == 200
            assert not writing.acquire(blocking=False)
        finally:
            go_on.set()
        for answer in asked:
            assert_problem(answer.result(), 422, "written")
