"""Loaded models: each loaded once, beside the others, and kept by those who use it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from services.errors import Unavailable
from services.training.progress import NoProgress
from worker import predictors
from worker.predictors import LoadedPredictors, PatientPredictor


class Family:
    """Loads a name; `slow` only when it is let."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.let, self.began = threading.Event(), threading.Event()

    def load(self, folder: Path, *, device: str) -> Any:
        self.loads.append(folder.name)
        if folder.name == "slow":
            self.began.set()
            assert self.let.wait(10)
        if folder.name == "broken":
            raise Unavailable("its files are gone")
        return object()


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Family:
    made = Family()

    @contextmanager
    def folder(_: Any, location: str, __: str) -> Iterator[Path]:
        yield Path(location)

    monkeypatch.setattr(predictors, "FAMILIES", {"fake": made})
    monkeypatch.setattr(predictors, "version_folder", folder)
    return made


def held(capacity: int = 2) -> LoadedPredictors:
    return LoadedPredictors(None, device="cpu", capacity=capacity)  # type: ignore[arg-type]


def ask(loaded: LoadedPredictors, name: str) -> Any:
    return loaded.predictor(family="fake", location=name, sha256="0")


def test_one_that_loads_keeps_nobody_waiting_who_wants_another(family: Family) -> None:
    loaded = held()
    ready = ask(loaded, "ready")
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, loaded, "slow") for _ in range(2)]
        assert family.began.wait(10)
        assert ask(loaded, "ready") is ready
        family.let.set()
        first, second = (each.result(10) for each in waiting)
    assert first is second
    assert family.loads == ["ready", "slow"]


def test_the_old_one_goes_only_once_the_new_one_is_there(family: Family) -> None:
    loaded = held(capacity=1)
    old = ask(loaded, "old")
    with ThreadPoolExecutor(1) as pool:
        new = pool.submit(ask, loaded, "slow")
        assert family.began.wait(10)
        assert ask(loaded, "old") is old
        family.let.set()
        new.result(10)
    ask(loaded, "slow")
    assert family.loads == ["old", "slow"]
    assert ask(loaded, "old") is not old


def test_one_that_cannot_be_loaded_is_tried_again_and_takes_no_place(family: Family) -> None:
    loaded = held(capacity=1)
    old = ask(loaded, "old")
    for _ in range(2):
        with pytest.raises(Unavailable, match="gone"):
            ask(loaded, "broken")
    assert family.loads == ["old", "broken", "broken"]
    assert ask(loaded, "old") is old
    with pytest.raises(Unavailable, match="does not know"):
        loaded.predictor(family="other", location="x", sha256="0")


class Scarce:
    """A predictor whose device's memory suffices only after so many tries."""

    def __init__(self, tries: int) -> None:
        self.left = tries

    def predict(self, *_: object, **__: object) -> str:
        self.left -= 1
        if self.left > 0:
            raise torch.OutOfMemoryError("simulated")
        return "beats"


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictors, "MEMORY_PAUSES_S", (0.0, 0.0))


@pytest.mark.usefixtures("_no_pauses")
def test_memory_that_does_not_suffice_at_once_is_waited_for() -> None:
    predictor = PatientPredictor(Scarce(3))  # type: ignore[arg-type]
    assert predictor.predict(None, options={}, progress=NoProgress()) == "beats"  # type: ignore[arg-type, comparison-overlap]


@pytest.mark.usefixtures("_no_pauses")
def test_memory_that_never_suffices_is_said_to_be_missing_and_the_next_record_is_read() -> None:
    scarce = Scarce(5)
    predictor = PatientPredictor(scarce)  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="memory of the worker's device"):
        predictor.predict(None, options={}, progress=NoProgress())  # type: ignore[arg-type]
    assert predictor.predict(None, options={}, progress=NoProgress()) == "beats"  # type: ignore[arg-type, comparison-overlap]
