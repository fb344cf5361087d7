"""What the API process holds: made once, passed to endpoints by dependencies."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import Engine

from api.admission import Turns
from api.callers import KeyRing
from api.waiting import JobWaiter
from services.access import keys
from services.db.session import (
    SessionFactory,
    engine_for,
    session_factory,
    single_statements,
)
from services.jobs.dispatch import CeleryDispatcher, Dispatcher
from services.jobs.room import QueueRoom
from services.settings import Settings
from services.storage.base import Store
from services.storage.factory import store_for

# Threads that answer, in one process. With more of them than connections, those that come at once
# make connections for a moment, each of which takes longer than a short answer.
THREADS = 6
# datasets and checkpoints may take minutes, for which records do not wait
ARCHIVES_AT_ONCE = 2
# a day of signal takes seconds to write, for which short answers do not wait
DOWNLOADS_AT_ONCE = 2


@dataclass
class ApiState:
    """uploads: records on their way in; readers: threads that read them while others ask whether
    they are here. archives: datasets and checkpoints. downloads: records on their way out.
    """

    settings: Settings
    engine: Engine
    sessions: SessionFactory
    store: Store
    dispatcher: Dispatcher
    waiter: JobWaiter
    reads: SessionFactory = field(init=False)
    key_ring: KeyRing = field(init=False)
    uploads: Turns = field(init=False)
    archives: Turns = field(init=False)
    downloads: Turns = field(init=False)
    readers: ThreadPoolExecutor = field(init=False)
    room: QueueRoom = field(init=False)

    def __post_init__(self) -> None:
        self.reads = single_statements(self.sessions)
        self.key_ring = KeyRing(self.reads, is_told=lambda: self.waiter.hears)
        self.waiter.tell(keys.CHANNEL, self.key_ring.forget)
        self.room = QueueRoom(self.settings.jobs_waiting)
        self.uploads = Turns(
            at_once=_uploads_at_once(self.settings),
            waiting=self.settings.uploads_waiting,
            setting="ECTOPY_UPLOADS_AT_ONCE, ECTOPY_UPLOADS_WAITING",
        )
        self.readers = ThreadPoolExecutor(self.uploads.at_once, "reader")
        self.archives = Turns(
            at_once=ARCHIVES_AT_ONCE,
            waiting=self.settings.uploads_waiting,
            setting="ECTOPY_UPLOADS_WAITING",
        )
        self.downloads = Turns(at_once=DOWNLOADS_AT_ONCE)


def state_for(settings: Settings) -> ApiState:
    engine = engine_for(
        settings.database,
        pool_size=THREADS + ARCHIVES_AT_ONCE + DOWNLOADS_AT_ONCE + _uploads_at_once(settings),
        statement_timeout_s=settings.statement_timeout_s,
    )
    return ApiState(
        settings=settings,
        engine=engine,
        sessions=session_factory(engine),
        store=store_for(settings),
        dispatcher=CeleryDispatcher(settings.broker),
        waiter=JobWaiter(settings.database),
    )


def _uploads_at_once(settings: Settings) -> int:
    """In this process."""
    return math.ceil(settings.uploads_at_once / settings.processes_of_api)
