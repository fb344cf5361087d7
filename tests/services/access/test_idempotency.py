"""Keys that make a request happen once, also when it comes twice at the same moment."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from services import clock
from services.access.idempotency import (
    IdempotentRequest,
    earlier_resource,
    forget_older,
    settle_on,
)
from services.db.session import SessionFactory
from services.errors import StateConflict

REQUEST = IdempotentRequest("POST /v1/records", "key").with_body({"a": 1, "b": [1, None]})


def test_the_first_request_makes_and_the_next_finds(session: Session) -> None:
    assert earlier_resource(session, REQUEST, "rec_1") is None
    assert earlier_resource(session, REQUEST, "rec_2") == "rec_1"


def test_the_order_of_fields_is_no_other_body(session: Session) -> None:
    earlier_resource(session, REQUEST, "rec_1")
    same = IdempotentRequest("POST /v1/records", "key").with_body({"b": [1, None], "a": 1})
    assert earlier_resource(session, same, "rec_2") == "rec_1"


def test_another_body_is_a_conflict_and_another_path_is_not(session: Session) -> None:
    earlier_resource(session, REQUEST, "rec_1")
    with pytest.raises(StateConflict):
        earlier_resource(session, REQUEST.with_body({"a": 2}), "rec_2")
    elsewhere = IdempotentRequest("POST /v1/predictions", "key").with_body({"a": 2})
    assert earlier_resource(session, elsewhere, "pred_1") is None


def test_without_a_key_every_request_makes(session: Session) -> None:
    keyless = IdempotentRequest("POST /v1/records", None).with_body({})
    assert earlier_resource(session, keyless, "rec_1") is None
    assert earlier_resource(session, keyless, "rec_2") is None


def test_a_key_can_settle_on_what_was_there(session: Session) -> None:
    earlier_resource(session, REQUEST, "rec_new")
    settle_on(session, REQUEST, "rec_old")
    assert earlier_resource(session, REQUEST, "rec_x") == "rec_old"


def test_of_requests_at_once_one_makes(sessions: SessionFactory) -> None:
    found: list[str | None] = []
    start = threading.Barrier(4)

    def send(name: str) -> None:
        start.wait()
        with sessions.begin() as mine:
            found.append(earlier_resource(mine, REQUEST, name))

    threads = [threading.Thread(target=send, args=(f"rec_{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(None) == 1
    assert len(set(found)) == 2


def test_a_request_that_fails_leaves_its_key_free(sessions: SessionFactory) -> None:
    with sessions() as session:
        earlier_resource(session, REQUEST, "rec_1")
        session.rollback()
    with sessions.begin() as session:
        assert earlier_resource(session, REQUEST, "rec_2") is None


def test_old_keys_are_forgotten(session: Session) -> None:
    earlier_resource(session, REQUEST, "rec_1")
    assert forget_older(session, clock.now() - timedelta(hours=1)) == 0
    assert forget_older(session, clock.now() + timedelta(seconds=1)) == 1
    assert earlier_resource(session, REQUEST, "rec_2") is None
