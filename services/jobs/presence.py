"""Which workers are alive: each says so every few seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services import clock
from services.jobs.row import WorkerRow

BEAT_S = 2.0
ALIVE = timedelta(seconds=10)
FORGOTTEN = timedelta(hours=1)


@dataclass(frozen=True)
class WorkerIdentity:
    """What a worker process says of itself; the name is new at each start."""

    name: str
    queues: Sequence[str]
    device: str
    version: str
    pid: int


def beat(
    session: Session, worker: WorkerIdentity, *, memory: Mapping[str, int] | None = None
) -> None:
    """I am here. memory: bytes by kind."""
    now = clock.now()
    statement = insert(WorkerRow).values(
        name=worker.name,
        queues=list(worker.queues),
        device=worker.device,
        version=worker.version,
        pid=worker.pid,
        started_at=now,
        seen_at=now,
        memory=memory,
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[WorkerRow.name],
            set_={"seen_at": now, "memory": statement.excluded.memory},
        )
    )


def leave(session: Session, name: str) -> None:
    """A worker that ends says good-bye."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == name))


def alive(session: Session) -> list[WorkerRow]:
    """The workers that were heard of lately, by name."""
    query = select(WorkerRow).where(WorkerRow.seen_at > clock.now() - ALIVE)
    return list(session.scalars(query.order_by(WorkerRow.name)))


def forget_dead(session: Session) -> None:
    """Removes rows of workers that ended without a word long ago."""
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < clock.now() - FORGOTTEN))
