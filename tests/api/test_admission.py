"""Many requests at once share few threads and connections, and long ones leave room for others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
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


class Held:
    """Work that waits until it is told to go on, and is refused then."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Semaphore(0), threading.Event()

    def __call__(self, *_: Any, **__: Any) -> None:
        self.begun.release()
        self.go_on.wait(PATIENCE_S)
        raise UnusableInput("held")


def assert_short_answers_come_meanwhile(
    client: httpx.Client, held: Held, at_once: int, ask: Callable[[], httpx.Response]
) -> None:
    """While as many as may be are at work, and others wait for their turn."""
    with ThreadPoolExecutor(MANY) as pool:
        asked = [pool.submit(ask) for _ in range(2 * THREADS)]
        for _ in range(at_once):
            assert held.begun.acquire(timeout=PATIENCE_S)
        try:
            assert client.get("/v1/records").status_code == 200
            assert not held.begun.acquire(blocking=False)
        finally:
            held.go_on.set()
        for answer in asked:
            assert_problem(answer.result(), 422, "held")


def test_short_answers_do_not_wait_for_datasets(
    state_and_url: tuple[ApiState, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, url = state_and_url
    held = Held()
    monkeypatch.setattr(dataset_requests, "_of_archive", held)
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:

        def ask() -> httpx.Response:
            files = {"file": ("a.zip", b"zip")}
            return client.post("/v1/datasets", files=files, data={"name": "d", "task": "beats"})

        assert_short_answers_come_meanwhile(client, held, state.archives.at_once, ask)


def test_short_answers_do_not_wait_for_downloads(
    state_and_url: tuple[ApiState, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, url = state_and_url
    held = Held()
    monkeypatch.setattr(exports, "write_record", held)
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        path = f"/v1/records/{upload(client, made_files())['id']}/download"
        at_once = state.downloads.at_once
        assert_short_answers_come_meanwhile(client, held, at_once, lambda: client.get(path))
