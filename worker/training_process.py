"""The process of one training run: `python -m worker.training_process CLAIM [INVITATION]`.

It ends with its worker, with its claim on the job, or when it is told to stop; then another attempt
goes on from the last checkpoint. With an invitation it helps the run of another machine.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services import lifeline
from services.db.session import SessionFactory, engine_for, session_factory
from services.errors import EctopyError, Interrupted
from services.fine_tunes.runner import FineTuneRunner, Places
from services.jobs import lifecycle
from services.jobs.execution import JobProgress, StopFlag, StoringRunner, execute
from services.jobs.lifecycle import JobClaim
from services.models.families import FINE_TUNABLE
from services.settings import Settings
from services.storage.factory import store_for, workspace
from services.telemetry import configure_logging
from services.tracing import configure_tracing
from worker.devices import device_for
from worker.meeting import Invitation
from worker.predictors import LoadedPredictors
from worker.training_group import TrainingGroup, die, processes_of
from worker.training_machines import invited, joined

log = structlog.get_logger()

LOOK_S = 0.5
COMPARED_MODELS = 3  # the base, the promoted version and the new one


def main(arguments: list[str]) -> None:
    claim = JobClaim(**json.loads(arguments[0]))
    parent = os.getppid()
    lifeline.die_with(parent)
    settings = Settings()
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    configure_tracing(settings.traces_endpoint, part="training")
    sessions = session_factory(engine_for(settings.database))
    device = device_for(settings.training_device)
    stop = StopFlag()
    signal.signal(signal.SIGTERM, lambda *_: stop.hand_back())
    command = (sys.executable, "-m", "worker.training_process", arguments[0])
    if TrainingGroup.is_assigned():
        group = TrainingGroup.following(device)
    elif len(arguments) > 1:
        invitation = Invitation.read(arguments[1])
        found = joined(sessions, claim, invitation, settings, command=command, device=device)
        if found is None:
            return
        group = found
        HelpersWatch(sessions, claim, stop, parent=parent, group=group).start()
    elif settings.training_machines > 1:
        group = invited(
            sessions, claim, settings, command=command, device=device, stops=stop.is_set
        )
    else:
        group = TrainingGroup.led(
            command, device, processes=processes_of(device, settings.training_processes)
        )
    if group.leads:
        Watch(sessions, claim, stop, parent=parent, group=group).start()
    try:
        with group.joined():
            work(sessions, claim, settings, group, stop)
    finally:
        group.machines.dismiss()


def work(
    sessions: SessionFactory,
    claim: JobClaim,
    settings: Settings,
    group: TrainingGroup,
    stop: StopFlag,
) -> None:
    """This process's part of the run."""
    store = store_for(settings)
    runner = FineTuneRunner(
        sessions,
        store,
        FINE_TUNABLE,
        LoadedPredictors(store, device=group.device, capacity=COMPARED_MODELS),
        places=Places(
            settings.data_dir,
            group.device,
            settings.checkpoint_every_s,
            in_store=settings.training_machines > 1,
        ),
    )
    if group.leads:
        execute(sessions, claim, Together(runner, group), stop)
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first process says when to stop
    with workspace(settings) as scratch:
        follow(runner, claim, Path(scratch))


def follow(runner: FineTuneRunner, claim: JobClaim, scratch: Path) -> None:
    """Trains along with the first process."""
    try:
        runner.train_along(claim, scratch)
    except Interrupted:
        sys.exit("this process cannot go on")  # and so the first one does not either
    except EctopyError as error:  # which the first process has met too, and tells of
        log.info("training.followed", reason=type(error).__name__)


class Together:
    """A runner whose process ends with the others of its run, and with them only."""

    def __init__(self, runner: StoringRunner, group: TrainingGroup) -> None:
        self._runner, self._group = runner, group
        self.store = runner.store

    def run(self, claim: JobClaim, progress: JobProgress) -> Any:
        with self._group.none_alone():
            return self._runner.run(claim, progress)


class Watch(threading.Thread):
    """Ends the process with its worker; stops the run when it is cancelled or another's."""

    def __init__(
        self,
        sessions: SessionFactory,
        claim: JobClaim,
        stop: StopFlag,
        *,
        parent: int,
        group: TrainingGroup,
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._sessions, self._claim, self._stop_flag = sessions, claim, stop
        self._parent, self._group = parent, group

    def run(self) -> None:
        never = threading.Event()
        while not never.wait(LOOK_S):
            if self._group.has_lost_one() or os.getppid() != self._parent:
                die()  # without the others a step may wait for ever
            self._look()

    def _look(self) -> None:
        if self._stop_flag.is_set():
            return
        if self._group.machines.one_leaves():
            self._stop_flag.hand_back()
        elif self._holds() is not True:
            self._stop_flag.set()

    def _holds(self) -> bool | None:
        """As services.jobs.lifecycle.holds."""
        try:
            with self._sessions() as session:
                return lifecycle.holds(session, self._claim)
        except (SQLAlchemyError, OSError) as error:  # the lease decides, not a lost connection
            log.warning("training.watch_failed", reason=type(error).__name__)
            return True


class HelpersWatch(Watch):
    """Of a machine that helps: the first process of all says when to stop, as long as it lives."""

    def _look(self) -> None:
        if self._holds() is False:
            die()


if __name__ == "__main__":
    main(sys.argv[1:])
