"""A training run in a process of its own: started, watched, and its job put back when it dies.

A fresh process has its own CUDA context, may be killed, and gives all its memory back. The claim on
the job is its worker's, who renews the lease; the process ends the job itself, or dies trying.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import structlog

from services.db.session import DATABASE_AWAY
from services.jobs import dispatch, lifecycle
from services.jobs.lifecycle import JobClaim
from services.jobs.row import JobRow
from services.jobs.states import JobStatus
from worker.runtime import Runtime

log = structlog.get_logger()

# set when this worker is told to stop: the run keeps a checkpoint, and goes on in another worker
ENDING = threading.Event()
LOOK_S = 0.2
CANCEL_PATIENCE_S = 20.0  # until a run that does not hear that it is cancelled is killed
DATABASE_PATIENCE_S = 120.0


def run_in_process(runtime: Runtime, job_id: str) -> None:
    """Claims the job and has a process run it; returns when that has ended."""
    with runtime.turns.running():
        if not ENDING.is_set():  # else it waited for a turn, and is another worker's
            _run_in_process(runtime, job_id)


def _run_in_process(runtime: Runtime, job_id: str) -> None:
    with runtime.sessions.begin() as session:
        claim = lifecycle.claim(
            session, job_id, worker=runtime.identity.name, lease_s=runtime.settings.lease_s
        )
    if claim is None:
        log.info("job.not_claimed", job_id=job_id)
        return
    stop = runtime.running[job_id] = threading.Event()
    try:
        process = _started(claim)
        log.info("training.started", job_id=job_id, attempt=claim.attempt, pid=process.pid)
        _wait(process, stop)
        log.info("training.ended", job_id=job_id, attempt=claim.attempt, code=process.returncode)
        _put_back_if_unfinished(runtime, claim)
    finally:
        if runtime.running.get(job_id) is stop:
            del runtime.running[job_id]


def _started(claim: JobClaim) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "worker.training_process", json.dumps(asdict(claim))]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def _wait(process: subprocess.Popen[bytes], stop: threading.Event) -> None:
    """Passes on that the worker ends; kills a run that is cancelled and does not stop."""
    handed_back = False
    deadline = float("inf")
    while process.poll() is None:
        if ENDING.is_set() and not handed_back:
            process.terminate()
            handed_back = True
        if stop.is_set() and deadline == float("inf"):
            deadline = time.monotonic() + CANCEL_PATIENCE_S
        if time.monotonic() > deadline:
            process.kill()
        try:
            process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            continue


def _put_back_if_unfinished(runtime: Runtime, claim: JobClaim) -> None:
    """A process that died without a word leaves its job to the next attempt."""
    deadline = time.monotonic() + DATABASE_PATIENCE_S
    while True:
        try:
            with runtime.sessions.begin() as session:
                status = lifecycle.give_up_attempt(
                    session, claim, max_attempts=runtime.settings.job_max_attempts
                )
            break
        except DATABASE_AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    if status is None:
        return
    log.warning("training.died", job_id=claim.job_id, attempt=claim.attempt, status=status)
    if status == JobStatus.QUEUED and not ENDING.is_set():
        with runtime.sessions() as session:
            job = session.get(JobRow, claim.job_id)
            if job is not None:
                dispatch.send_again(session, runtime.dispatcher, job)
