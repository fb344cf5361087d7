"""An idle training worker helps with a run of another machine that invites."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.fine_tunes import groups
from services.fine_tunes.groups import Meeting, PlaceStatus
from services.jobs.lifecycle import JobClaim
from worker.meeting import Invitation
from worker.runtime import Runtime
from worker.training import ENDING

log = structlog.get_logger()

LOOK_S = 1.0
WAIT_S = 0.3
HAND_BACK_PATIENCE_S = 40.0  # until processes whose run is to be handed back are killed


class Helping(threading.Thread):
    """One thread beside the tasks: looks for invitations, and has a process help."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(name="helping", daemon=True)
        self._runtime = runtime
        self._ended = threading.Event()
        self._passed: set[tuple[str, int]] = set()

    def run(self) -> None:
        while not self._ended.wait(LOOK_S) and not ENDING.is_set():
            try:
                self.look()
            except (SQLAlchemyError, OSError) as error:
                log.warning("helping.failed", reason=type(error).__name__)

    def stop(self) -> None:
        """Returns when what it helped with goes on without it."""
        self._ended.set()
        self.join(timeout=HAND_BACK_PATIENCE_S + 5)

    def look(self) -> None:
        """Helps where somebody invites, if nothing is to do here; returns when that is over."""
        with self._runtime.turns.helping() as free:
            if not free:
                return
            with self._runtime.single_statements() as session:
                version = self._runtime.identity.version
                found = groups.announced(session, version=version, passed=self._passed)
            if found is not None:
                self._help(*found)

    def _help(self, claim: JobClaim, meeting: Meeting) -> None:
        self._passed.add((claim.job_id, claim.attempt))
        worker = self._runtime.identity.name
        invitation = Invitation(meeting, worker).text()
        arguments = (json.dumps(asdict(claim)), invitation)
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.training_process", *arguments],
            stdin=subprocess.DEVNULL,
        )
        log.info("helping.started", job_id=claim.job_id, attempt=claim.attempt, pid=process.pid)
        self._wait(process, claim)
        log.info("helping.ended", job_id=claim.job_id, code=process.returncode)
        self._say(claim, PlaceStatus.LOST if process.returncode else PlaceStatus.ENDED)

    def _wait(self, process: subprocess.Popen[bytes], claim: JobClaim) -> None:
        deadline = float("inf")
        while process.poll() is None:
            if ENDING.is_set() or self._ended.is_set():
                deadline = min(deadline, time.monotonic() + HAND_BACK_PATIENCE_S)
                self._say(claim, PlaceStatus.LEAVING)  # again, for it may take its place only now
            if time.monotonic() > deadline:
                process.kill()
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                continue

    def _say(self, claim: JobClaim, status: PlaceStatus) -> None:
        try:
            with self._runtime.sessions.begin() as session:
                groups.say(session, claim, worker=self._runtime.identity.name, status=status)
        except (SQLAlchemyError, OSError) as error:  # its silence or broken connections will tell
            log.warning("helping.not_said", status=status, reason=type(error).__name__)
