"""Room in a queue: exact near the limit, and asked for once in a while far from it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from services.errors import Unavailable
from services.jobs import lifecycle, room
from services.jobs.room import QueueRoom


def job(session: Session, queue: str = "predict") -> None:
    lifecycle.create(session, kind="k", queue=queue, resource_id="r")


@pytest.fixture
def statements(session: Session) -> list[str]:
    found: list[str] = []
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    event.listen(engine, "before_cursor_execute", lambda *said: found.append(said[2]))
    return found


def test_the_limit_is_exact(session: Session) -> None:
    tried = QueueRoom(3)
    for _ in range(3):
        tried.require(session, "predict")
        job(session)
    with pytest.raises(Unavailable, match="3 jobs wait in the queue predict"):
        tried.require(session, "predict")
    tried.require(session, "batch")


def test_far_from_full_it_is_asked_for_once(session: Session, statements: list[str]) -> None:
    tried = QueueRoom(100)
    for _ in range(20):
        tried.require(session, "predict")
    assert len(statements) == 1


def test_what_was_let_in_counts(session: Session, statements: list[str]) -> None:
    tried = QueueRoom(10)
    for _ in range(4):
        tried.require(session, "predict")
    assert len(statements) == 1
    tried.require(session, "predict")
    tried.require(session, "predict")  # from half on, each is counted
    assert len(statements) >= 2


def test_what_was_counted_is_good_for_a_while(
    session: Session, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "REMEMBERED_S", 0.0)
    tried = QueueRoom(100)
    tried.require(session, "predict")
    tried.require(session, "predict")
    assert len(statements) == 2
