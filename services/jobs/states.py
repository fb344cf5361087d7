"""The states of long work and the moves between them."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """What API.md calls `status`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})

MOVES = frozenset(
    {
        (JobStatus.QUEUED, JobStatus.RUNNING),
        (JobStatus.QUEUED, JobStatus.CANCELLED),
        (JobStatus.QUEUED, JobStatus.FAILED),  # given up after too many starts
        (JobStatus.RUNNING, JobStatus.SUCCEEDED),
        (JobStatus.RUNNING, JobStatus.FAILED),
        (JobStatus.RUNNING, JobStatus.CANCELLED),
        (JobStatus.RUNNING, JobStatus.QUEUED),  # its worker fell silent, or was told to stop
    }
)


def may_move(before: JobStatus, after: JobStatus) -> bool:
    """Whether a job may go from one state to the other."""
    return (before, after) in MOVES
