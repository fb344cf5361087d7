"""The process of one training run: `python -m worker.training_process CLAIM`.

It ends with its worker, with its claim on the job, or when it is told to stop; then another attempt
goes on from the last checkpoint.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.db.session import SessionFactory, engine_for, session_factory
from services.fine_tunes.runner import FineTuneRunner, Places
from services.jobs import lifecycle
from services.jobs.execution import StopFlag, execute
from services.jobs.lifecycle import JobClaim
from services.models.families import FINE_TUNABLE
from services.settings import Settings
from services.storage.factory import store_for
from services.telemetry import configure_logging
from worker.devices import device_for
from worker.predictors import LoadedPredictors

log = structlog.get_logger()

LOOK_S = 0.5
COMPARED_MODELS = 3  # the base, the promoted version and the new one
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    claim = JobClaim(**json.loads(arguments[0]))
    parent = os.getppid()
    die_with(parent)
    settings = Settings()
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    sessions = session_factory(engine_for(settings.database))
    stop = StopFlag()
    signal.signal(signal.SIGTERM, lambda *_: stop.hand_back())
    Watch(sessions, claim, stop, parent=parent).start()
    device, store = device_for(settings.training_device), store_for(settings)
    runner = FineTuneRunner(
        sessions,
        store,
        FINE_TUNABLE,
        LoadedPredictors(store, device=device, capacity=COMPARED_MODELS),
        places=Places(settings.data_dir, device, settings.checkpoint_every_s),
    )
    execute(sessions, claim, runner, stop)


class Watch(threading.Thread):
    """Ends the process with its worker; stops the run when it is cancelled or another's."""

    def __init__(
        self, sessions: SessionFactory, claim: JobClaim, stop: StopFlag, *, parent: int
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._sessions, self._claim, self._stop_flag = sessions, claim, stop
        self._parent = parent

    def run(self) -> None:
        never = threading.Event()
        while not never.wait(LOOK_S):
            if os.getppid() != self._parent:
                os.kill(os.getpid(), signal.SIGKILL)
            if not self._stop_flag.is_set() and not self._is_wanted():
                self._stop_flag.set()

    def _is_wanted(self) -> bool:
        try:
            with self._sessions() as session:
                return lifecycle.holds(session, self._claim) is True
        except (SQLAlchemyError, OSError) as error:  # the lease decides, not a lost connection
            log.warning("training.watch_failed", reason=type(error).__name__)
            return True


def die_with(parent: int) -> None:
    """Has the kernel kill us when the worker is gone; elsewhere than on Linux the watch does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
