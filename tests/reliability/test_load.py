"""A short `make load`: clients in several processes, good answers alone; what it complains of."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from reliability import load as trials
from reliability.load_clients import Met
from reliability.service import Trial

STEADY = [{"api": 300.0}] * 10
CLIENTS, SECONDS = 8, 25.0


@pytest.mark.slow
def test_clients_of_several_processes_ask_for_everything_and_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "CLIENTS_A_PROCESS", CLIENTS // 2)
    trial = Trial(tmp_path)
    try:
        met, memory = trials.load(trial, clients=CLIENTS, seconds=SECONDS)
        with trial.client() as client:
            kept = client.get("/v1/records", params={"limit": 100}).json()["data"]
    finally:
        trial.stop()
    assert {status for counts in met.statuses.values() for status in counts} <= {200, 201, 202}
    asked = {"upload", "list records", "get prediction", "asked to labels", "fine-tune", "batch"}
    assert asked <= set(met.took)
    uploaded = [record for record in kept if record["name"].startswith("load")]
    assert len(uploaded) == len(met.took["upload"])  # none took another's for its own
    assert met.fine_tune["status"] in ("queued", "running")
    assert met.processor_s > 0
    assert len(met.late) > SECONDS  # looks of both processes
    assert {"api", "worker"} <= set(memory[-1])


def some(**took: list[float]) -> Met:
    met = Met(late=[0.0], fine_tune={"epoch": 3, "status": "running"})
    met.took.update({what.replace("_", " "): found for what, found in took.items()})
    return met


def test_a_slow_cheap_read_breaks_the_promise_and_a_slow_upload_does_not() -> None:
    assert trials.report(some(list_models=[0.01] * 98, upload=[3.0]), STEADY) == []
    slow = some(list_models=[0.01] * 97 + [0.2] * 3, upload=[3.0])
    assert trials.report(slow, STEADY) == ["p99 of list models is 200 ms"]


def test_an_answer_of_no_kind_that_is_promised_breaks_it() -> None:
    met = some(upload=[0.1])
    met.statuses["upload"] = Counter({201: 5, 429: 2, 500: 1})
    met.statuses["events (TimeoutError)"] = Counter({0: 1})
    assert trials.report(met, STEADY) == ["events (TimeoutError): 1 times 0", "upload: 1 times 500"]


def test_a_fine_tune_that_never_began_breaks_it() -> None:
    met = some(upload=[0.1])
    met.fine_tune = {}
    assert trials.report(met, STEADY) == ["no fine-tune ran beside"]


def test_what_processes_met_with_is_added_up() -> None:
    met, other = some(upload=[0.1]), some(upload=[0.2], batch=[0.3])
    other.statuses["upload"][201] += 1
    met.add(other)
    assert dict(met.took) == {"upload": [0.1, 0.2], "batch": [0.3]}
    assert met.statuses["upload"] == {201: 1}
    assert len(met.late) == 2
