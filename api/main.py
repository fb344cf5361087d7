"""Makes the ASGI app: middleware, error handlers, routers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from api import docs_page, errors, processes
from api.admission import answer_in
from api.audited import Audited
from api.callers import KnownCallers
from api.middleware import BodyLimit, Limited, Measured, SafeAnswers, Traced
from api.openapi import describe
from api.routers import (
    audit,
    calibrations,
    datasets,
    exports,
    fine_tunes,
    imports,
    models,
    operations,
    page,
    predict,
    predictions,
    records,
)
from api.sites import host_names
from api.state import THREADS, ApiState, state_for
from services import steady
from services.access import keys
from services.access.clients import is_loopback, networks
from services.access.limits import CallerLimits
from services.access.uses import Uses
from services.db.session import DATABASE_AWAY
from services.errors import Unavailable
from services.settings import Settings
from services.telemetry import configure_logging, count_with_others
from services.tracing import configure_tracing
from services.version import code_version

log = structlog.get_logger()


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app; settings from the environment unless given, as for the app of a whole process."""
    owns_process = settings is None
    seat = processes.joined() if owns_process else None
    if seat is not None:
        count_with_others(seat)
    settings = settings or Settings()
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    configure_tracing(settings.traces_endpoint, part="api")
    app = FastAPI(
        title="Ectopy",
        version=code_version(),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        # its spans hold methods, routes and times; its logs would hold what was wrong with a value
        telemetry={"logs": False, "metrics": False, "operation_spans": False},
    )
    state = app.state.ectopy = state_for(settings)
    app.state.owns_process = owns_process
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_upload_bytes,
        larger={
            imports.PATH: (settings.max_import_bytes, "ECTOPY_MAX_IMPORT_BYTES"),
            datasets.PATH: (settings.max_dataset_bytes, "ECTOPY_MAX_DATASET_BYTES"),
        },
        silence_s=settings.body_silence_s,
        duration_s=settings.body_duration_s,
    )
    app.add_middleware(Audited, sessions=state.reads, reads=settings.audit_reads)
    app.add_middleware(
        Limited,
        limits=CallerLimits(
            per_minute=settings.key_requests_per_minute,
            at_once=settings.key_requests_at_once,
            uses=Uses(seat),
        ),
        at_once=settings.requests_at_once,
    )
    app.add_middleware(
        KnownCallers,
        key_ring=state.key_ring,
        allowed=networks(settings.allowed_clients),
        hosts=host_names(settings.allowed_hosts),
    )
    app.add_middleware(SafeAnswers)
    app.add_middleware(Measured)
    app.add_middleware(Traced)
    errors.install(app)
    rooms = (
        records,
        predictions,
        predict,
        exports,
        datasets,
        fine_tunes,
        models,
        calibrations,
        imports,
        audit,
        operations,
        page,
    )
    for room in rooms:
        app.include_router(room.router)
    docs_page.install(app)
    describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: ApiState = app.state.ectopy
    if app.state.owns_process:
        steady.share_memory()  # before the first thread, which would keep a heap of its own
    steady.give_way()
    answer_in(THREADS)
    try:
        await run_in_threadpool(_require_keys_for_others, state)
        state.waiter.start()
        if app.state.owns_process:
            steady.settle()
            processes.tell_started()
        yield
        await state.waiter.stop()
    finally:
        state.readers.shutdown()
        state.engine.dispose()


def _require_keys_for_others(state: ApiState) -> None:
    """Unavailable where other machines would reach a service that knows no keys."""
    settings = state.settings
    if is_loopback(settings.api_host) or settings.allowed_clients:
        return
    try:
        configured = state.key_ring.are_configured()
    except DATABASE_AWAY as error:  # each request is asked for its key all the same
        log.warning("keys.unknown", reason=type(error).__name__)
        return
    if not configured:
        raise Unavailable(keys.needed_to_listen(settings.api_host))
