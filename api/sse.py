"""A job's events as Server-Sent Events, resumable through Last-Event-ID."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from api.state import ApiState
from services.errors import MalformedInput
from services.jobs import events
from services.jobs.row import JobEventRow, JobRow

KEEP_ALIVE_S = 15
_LONGEST_LOOK_S = 3600.0


def last_event_id(value: str | None) -> int:
    """The id to go on from; MalformedInput when it is not one of ours."""
    if not value:
        return 0
    if not value.isdecimal() or not value.isascii() or len(value) > 18:
        raise MalformedInput("Last-Event-ID is not one that this service gave")
    return int(value)


def job_events(
    state: ApiState, job_id: str, *, after: int, earlier: Sequence[str] = ()
) -> EventSourceResponse:
    """Streams what has happened and what happens; ends when the job has ended.

    earlier: jobs of the same resource before this one, whose events come first.
    """
    return EventSourceResponse(_stream(state, job_id, earlier, after), ping=KEEP_ALIVE_S)


async def _stream(
    state: ApiState, job_id: str, earlier: Sequence[str], after: int
) -> AsyncIterator[dict[str, Any]]:
    ended = False
    while not ended:

        async def look(after: int = after) -> tuple[list[JobEventRow], bool] | None:
            found, ended = await run_in_threadpool(_since, state, job_id, earlier, after)
            return (found, ended) if found or ended else None

        seen = await state.waiter.until(job_id, look, seconds=_LONGEST_LOOK_S)
        if seen is None:
            continue
        found, ended = seen
        for event in found:
            after = event.id
            data = {**event.data, "at": event.created_at}
            yield {"id": str(event.id), "event": event.kind, "data": orjson.dumps(data).decode()}


def _since(
    state: ApiState, job_id: str, earlier: Sequence[str], after: int
) -> tuple[list[JobEventRow], bool]:
    with state.reads() as session:
        job = session.get(JobRow, job_id)
        # the row first: an event written after this look is then found by the next one
        over = job is None or job.finished_at is not None
        found = events.after(session, [*earlier, job_id], after)
        return found, over and len(found) < 500
