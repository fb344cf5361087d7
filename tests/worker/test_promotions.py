"""A worker loads what is promoted before anybody asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.errors import Unavailable
from services.jobs.presence import WorkerIdentity
from services.registry import service as registry
from services.registry.row import ModelVersionRow
from services.settings import Settings
from services.storage.factory import store_for
from tests.fakes import fake_card
from worker.promotions import Promotions
from worker.runtime import Runtime


class Loads:
    """Remembers the weights that it was asked for; those of `broken` are not there."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = ""

    def predictor(self, *, family: str, location: str, sha256: str) -> Any:
        self.asked.append(sha256[:1])
        if sha256.startswith(self.broken or "-"):
            raise Unavailable("its files are gone")


@pytest.fixture
def loads() -> Loads:
    return Loads()


@pytest.fixture
def promotions(settings: Settings, sessions: SessionFactory, loads: Loads) -> Promotions:
    runtime = Runtime(
        settings=settings,
        sessions=sessions,
        store=store_for(settings),
        dispatcher=None,  # type: ignore[arg-type]
        predictors=loads,  # type: ignore[arg-type]
        identity=WorkerIdentity("w", ("predict",), "cpu", "1", 1),
    )
    made = Promotions(runtime)
    made.round()
    loads.asked.clear()
    return made


def enter(sessions: SessionFactory, letter: str) -> None:
    with sessions.begin() as session:
        registry.add_version(
            session, DEFAULT_PROJECT, card=fake_card(), sha256=letter * 64, location=letter
        )


def promote(sessions: SessionFactory, number: int) -> None:
    with sessions.begin() as session:
        registry.promote(session, DEFAULT_PROJECT, "fake-beats", number)


@pytest.mark.usefixtures("fake_model")
def test_what_is_promoted_is_loaded_once(
    promotions: Promotions, loads: Loads, sessions: SessionFactory
) -> None:
    enter(sessions, "a")
    promotions.round()
    assert loads.asked == []
    promote(sessions, 2)
    promotions.round()
    promotions.round()
    assert loads.asked == ["a"]


def test_what_cannot_be_loaded_ends_nothing_and_is_not_asked_for_again(
    promotions: Promotions,
    loads: Loads,
    sessions: SessionFactory,
    fake_model: ModelVersionRow,
) -> None:
    loads.broken = "b"
    enter(sessions, "b")
    promote(sessions, 2)
    promotions.round()
    promotions.round()
    assert loads.asked == ["b"]
    enter(sessions, "c")
    promote(sessions, 3)
    promotions.round()
    assert loads.asked == ["b", "c"]
