"""What the API process holds: made once, passed to endpoints by dependencies."""

from __future__ import annotations

import math
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


@dataclass
class ApiState:
    settings: Settings
    engine: Engine
    sessions: SessionFactory
    store: Store
    dispatcher: Dispatcher
    waiter: JobWaiter
    reads: SessionFactory = field(init=False)
    key_ring: KeyRing = field(init=False)
    uploads: Turns = field(init=False)
    room: QueueRoom = field(init=False)

    def __post_init__(self) -> None:
        self.reads = single_statements(self.sessions)
        self.key_ring = KeyRing(self.reads, is_told=lambda: self.waiter.hears)
        self.waiter.tell(keys.CHANNEL, self.key_ring.forget)
        self.room = QueueRoom(self.settings.jobs_waiting)
        self.uploads = Turns(
            at_once=math.ceil(self.settings.uploads_at_once / self.settings.processes_of_api),
            waiting=self.settings.uploads_waiting,
            setting="ECTOPY_UPLOADS_AT_ONCE, ECTOPY_UPLOADS_WAITING",
        )


# of one process alone, and of each of many; as many again where they are needed for a moment
CONNECTIONS, FEWEST_CONNECTIONS = 20, 10


def state_for(settings: Settings) -> ApiState:
    engine = engine_for(
        settings.database,
        pool_size=max(FEWEST_CONNECTIONS, CONNECTIONS // settings.processes_of_api),
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
