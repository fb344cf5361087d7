"""One fine-tune over several machines: workers with data folders of their own, some killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select

from services.access.caller import DEFAULT_PROJECT
from services.fine_tunes import service as fine_tunes
from services.fine_tunes.group_row import TrainingGroupRow
from services.fine_tunes.kept import PREFIX
from tests.conftest import Live
from tests.faults import eventually
from tests.journeys.test_fine_tune_to_promotion import (
    QUICK,
    _forgotten,
    begun,
    dataset,
    ended,
    events_of,
    new_trainer,
    wait_for_epoch,
    weights_of,
)
from tests.processes import WorkerProcess

__all__ = ["_forgotten", "dataset"]

MACHINES = 3


@pytest.fixture
def machines(live: Live, tmp_path: Path) -> Iterator[list[WorkerProcess]]:
    """Training workers that share the store, as a volume, and nothing else on a disk."""
    started = []
    for number in range(MACHINES):
        folder = tmp_path / f"machine-{number}"
        folder.mkdir()
        (folder / "store").symlink_to(live.settings.store_dir.resolve())
        started.append(
            new_trainer(
                live,
                tmp_path / f"machine-{number}.log",
                ECTOPY_DATA_DIR=str(folder),
                ECTOPY_TRAINING_MACHINES="2",
                ECTOPY_TRAINING_HOST="127.0.0.1",
                ECTOPY_LEASE_S="10",
            )
        )
    yield started
    for worker in started:
        worker.end()


def processes_of(worker: WorkerProcess) -> list[psutil.Process]:
    if worker.process.poll() is not None:
        return []
    children = psutil.Process(worker.process.pid).children(recursive=True)
    return [each for each in children if "worker.training_process" in " ".join(each.cmdline())]


@pytest.mark.slow
def test_a_run_over_two_machines_ends_the_same_when_each_of_them_dies_once(
    live: Live, live_client: httpx.Client, dataset: str, machines: list[WorkerProcess]
) -> None:
    undisturbed = begun(live_client, dataset)
    wait_for_epoch(live_client, undisturbed, 1)
    assert group_sizes(live) == [2]
    undisturbed = ended(live_client, undisturbed)
    assert undisturbed["status"] == "succeeded", undisturbed

    disturbed = begun(live_client, dataset)
    wait_for_epoch(live_client, disturbed, 2)
    assert group_sizes(live) == [2]
    holder = holder_of(live, machines)
    holder.kill()  # a machine, and with it the first process of the run
    left = [worker for worker in machines if worker is not holder]
    wait_for_epoch(live_client, disturbed, 4)
    eventually(lambda: group_sizes(live) == [2], within_s=60)
    holder = holder_of(live, left)
    helper = next(worker for worker in left if worker is not holder)
    os.kill(processes_of(helper)[0].pid, signal.SIGKILL)
    disturbed = ended(live_client, disturbed)
    assert disturbed["status"] == "succeeded", disturbed
    assert disturbed["epoch"] == QUICK["epochs"]
    statuses = [d["status"] for kind, d in events_of(live_client, disturbed) if kind == "status"]
    attempts = statuses.count("running")
    assert attempts >= 3  # more where a busy machine loses a lease
    assert statuses == ["queued", "running"] * attempts + ["succeeded"]
    assert weights_of(live_client, disturbed) == weights_of(live_client, undisturbed)
    assert group_sizes(live) == []
    with live.sessions() as session:
        row = fine_tunes.get(session, disturbed["id"], project_id=DEFAULT_PROJECT)
        assert row.kept_files
        assert all((live.settings.store_dir / key).is_file() for key in row.kept_files.values())
        assert all(key.startswith(PREFIX) for key in row.kept_files.values())


def group_sizes(live: Live) -> list[int | None]:
    with live.sessions() as session:
        return list(session.scalars(select(TrainingGroupRow.size)))


def holder_of(live: Live, machines: list[WorkerProcess]) -> WorkerProcess:
    """The worker whose process leads: the others' were invited."""
    leading = [
        worker
        for worker in machines
        if any(len(each.cmdline()) == 4 for each in processes_of(worker))
    ]
    assert len(leading) == 1, [worker.log.read_text() for worker in machines]
    return leading[0]


@pytest.mark.slow
def test_a_machine_that_is_told_to_stop_hands_the_run_back(
    live: Live, live_client: httpx.Client, dataset: str, machines: list[WorkerProcess]
) -> None:
    machines.pop().end()
    run = begun(live_client, dataset)
    wait_for_epoch(live_client, run, 2)
    holder = holder_of(live, machines)
    helper = next(worker for worker in machines if worker is not holder)
    helper.end(within_s=60)
    assert helper.process.returncode == 0, helper.log.read_text()
    done = ended(live_client, run)  # on the other machine alone
    assert (done["status"], done["epoch"]) == ("succeeded", QUICK["epochs"])
    messages = [d.get("message", "") for kind, d in events_of(live_client, run) if kind == "log"]
    assert any("its worker is about to end" in message for message in messages), messages


@pytest.mark.slow
def test_a_machine_that_falls_silent_is_not_waited_for(
    live: Live, live_client: httpx.Client, dataset: str, machines: list[WorkerProcess]
) -> None:
    machines.pop().end()
    run = begun(live_client, dataset)
    wait_for_epoch(live_client, run, 2)
    holder = holder_of(live, machines)
    helper = next(worker for worker in machines if worker is not holder)
    (process,) = processes_of(helper)
    frozen = [helper.process.pid, process.pid]  # as if it had been cut off: no connection breaks
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        done = ended(live_client, run)  # on the other machine alone
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert (done["status"], done["epoch"]) == ("succeeded", QUICK["epochs"])
    statuses = [d["status"] for kind, d in events_of(live_client, run) if kind == "status"]
    assert statuses.count("running") >= 2
    eventually(lambda: not process.is_running(), within_s=30)  # nobody wants it any more
