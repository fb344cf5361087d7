"""How the machines of one run find one another: announced, joined, closed, and who is missing.

The first process announces a group for its attempt. Workers of other machines that have nothing to
do take places, one transaction each, until it closes the group and all know their ranks. A group is
good as long as its claim; the next attempt makes another.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session

from services import clock
from services.fine_tunes.group_row import TrainingGroupRow, TrainingPlaceRow
from services.jobs import lifecycle
from services.jobs.dispatch import TRAIN_QUEUE
from services.jobs.lifecycle import JobClaim
from services.jobs.presence import ALIVE
from services.jobs.row import JobRow, WorkerRow
from services.jobs.states import JobStatus


class PlaceStatus(StrEnum):
    """How it is with a machine's processes."""

    TAKEN = "taken"
    LEAVING = "leaving"  # its worker is told to stop: the run is to be handed back
    ENDED = "ended"  # they have done their part
    LOST = "lost"  # they have died


@dataclass(frozen=True)
class Meeting:
    """Where a group meets, and on what it computes. machines: at most, the first one included."""

    host: str
    port: int
    device: str
    machines: int


@dataclass(frozen=True)
class Ranks:
    """What a machine is told when the group is closed."""

    first: int
    size: int


def announce(session: Session, claim: JobClaim, meeting: Meeting, *, processes: int) -> None:
    """Opens the attempt's group; those of earlier ones go. processes: of this machine."""
    session.execute(delete(TrainingGroupRow).where(TrainingGroupRow.job_id == claim.job_id))
    session.add(
        TrainingGroupRow(
            job_id=claim.job_id,
            attempt=claim.attempt,
            host=meeting.host,
            port=meeting.port,
            device=meeting.device,
            machines=meeting.machines,
            processes=processes,
        )
    )


def announced(
    session: Session, *, version: str, passed: Collection[tuple[str, int]] = ()
) -> tuple[JobClaim, Meeting] | None:
    """A group that still takes machines, and the claim it is good for.

    version: of the code; the worker that holds the claim must have the same. passed: job and
    attempt of those that are not wanted.
    """
    query = (
        select(TrainingGroupRow, JobRow)
        .join(JobRow, _is_good())
        .join(WorkerRow, WorkerRow.name == JobRow.worker)
        .where(TrainingGroupRow.size.is_(None), WorkerRow.version == version)
        .where(_places() < TrainingGroupRow.machines - 1)
        .order_by(TrainingGroupRow.job_id)
    )
    for group, job in session.execute(query):
        if (group.job_id, group.attempt) not in passed and job.worker is not None:
            claim = JobClaim(job.id, job.kind, job.resource_id, job.worker, job.attempts)
            return claim, Meeting(group.host, group.port, group.device, group.machines)
    return None


def take_place(session: Session, claim: JobClaim, *, worker: str, processes: int) -> int | None:
    """The machine's number, from 1; None where the group is full, closed or void."""
    group = _locked(session, claim)
    if group is None or group.size is not None or lifecycle.holds(session, claim) is not True:
        return None
    there = _taken(session, claim)
    if len(there) >= group.machines - 1:
        return None
    number = len(there) + 1
    session.add(
        TrainingPlaceRow(
            job_id=claim.job_id,
            attempt=claim.attempt,
            number=number,
            worker=worker,
            processes=processes,
            status=PlaceStatus.TAKEN,
        )
    )
    return number


def is_full(session: Session, claim: JobClaim) -> bool:
    """Whether all places are taken."""
    group = session.get(TrainingGroupRow, (claim.job_id, claim.attempt), populate_existing=True)
    return group is None or len(_taken(session, claim)) >= group.machines - 1


def somebody_may_come(session: Session, claim: JobClaim) -> bool:
    """Whether another training worker is alive that neither runs anything nor has a place."""
    busy = exists().where(JobRow.worker == WorkerRow.name, JobRow.status == JobStatus.RUNNING)
    here = exists().where(TrainingPlaceRow.worker == WorkerRow.name, *_of(claim))
    idle = exists().where(
        WorkerRow.seen_at > clock.now() - ALIVE,
        WorkerRow.queues.contains([TRAIN_QUEUE]),
        WorkerRow.name != claim.worker,
        ~busy,
        ~here,
    )
    return bool(session.scalar(select(idle)))


def close(session: Session, claim: JobClaim) -> int:
    """Lets nobody in any more and gives all who came their ranks; the number of processes.

    A machine that has died or is leaving meanwhile is left out.
    """
    group = _locked(session, claim)
    if group is None:
        return 0
    size = group.processes
    for place in _taken(session, claim):
        if place.status == PlaceStatus.TAKEN:
            place.first_rank = size
            size += place.processes
        else:
            session.delete(place)
    group.size = size
    return size


def ranks(session: Session, claim: JobClaim, number: int) -> Ranks | None:
    """What the closed group tells a machine; None while it is open. LookupError without a place."""
    query = (
        select(TrainingGroupRow.size, TrainingPlaceRow.first_rank)
        .join(TrainingPlaceRow, _is_of_group())
        .where(*_of(claim), TrainingPlaceRow.number == number)
    )
    found = session.execute(query).first()
    if found is None or (found.size is not None and found.first_rank is None):
        raise LookupError("the place is gone")
    return None if found.size is None else Ranks(found.first_rank, found.size)


def say(session: Session, claim: JobClaim, *, worker: str, status: PlaceStatus) -> None:
    """How it is with the worker's place; nothing where it has none, or it has ended."""
    session.execute(
        update(TrainingPlaceRow)
        .where(*_of(claim), TrainingPlaceRow.worker == worker)
        .where(TrainingPlaceRow.status.in_((PlaceStatus.TAKEN, PlaceStatus.LEAVING)))
        .values(status=status)
    )


def statuses(session: Session, claim: JobClaim) -> set[PlaceStatus]:
    """How it is with the other machines."""
    query = select(TrainingPlaceRow.status).where(*_of(claim)).distinct()
    return {PlaceStatus(status) for status in session.scalars(query)}


def one_is_silent(session: Session, claim: JobClaim) -> bool:
    """Whether the worker of a machine whose processes are at work was not heard of lately."""
    heard = exists().where(
        WorkerRow.name == TrainingPlaceRow.worker, WorkerRow.seen_at > clock.now() - ALIVE
    )
    silent = exists().where(
        *_of(claim),
        TrainingPlaceRow.status.in_((PlaceStatus.TAKEN, PlaceStatus.LEAVING)),
        ~heard,
    )
    return bool(session.scalar(select(silent)))


def withdraw(session: Session, claim: JobClaim) -> None:
    """The attempt is over."""
    session.execute(
        delete(TrainingGroupRow).where(
            TrainingGroupRow.job_id == claim.job_id, TrainingGroupRow.attempt == claim.attempt
        )
    )


def forget_void(session: Session) -> None:
    """Removes groups whose attempt ended without a word."""
    session.execute(delete(TrainingGroupRow).where(~exists().where(_is_good())))


def _is_good() -> ColumnElement[bool]:
    return and_(
        JobRow.id == TrainingGroupRow.job_id,
        JobRow.attempts == TrainingGroupRow.attempt,
        JobRow.status == JobStatus.RUNNING,
        ~JobRow.cancel_requested,
    )


def _is_of_group() -> ColumnElement[bool]:
    return and_(
        TrainingPlaceRow.job_id == TrainingGroupRow.job_id,
        TrainingPlaceRow.attempt == TrainingGroupRow.attempt,
    )


def _of(claim: JobClaim) -> tuple[ColumnElement[bool], ...]:
    return (TrainingPlaceRow.job_id == claim.job_id, TrainingPlaceRow.attempt == claim.attempt)


def _places() -> ColumnElement[int]:
    return (
        select(func.count())
        .select_from(TrainingPlaceRow)
        .where(_is_of_group())
        .correlate(TrainingGroupRow)
        .scalar_subquery()
    )


def _locked(session: Session, claim: JobClaim) -> TrainingGroupRow | None:
    query = select(TrainingGroupRow).where(
        TrainingGroupRow.job_id == claim.job_id, TrainingGroupRow.attempt == claim.attempt
    )
    locked = query.with_for_update().execution_options(populate_existing=True)
    return session.scalars(locked).first()


def _taken(session: Session, claim: JobClaim) -> list[TrainingPlaceRow]:
    query = select(TrainingPlaceRow).where(*_of(claim)).order_by(TrainingPlaceRow.number)
    return list(session.scalars(query.execution_options(populate_existing=True)))
