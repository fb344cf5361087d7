"""Makes the ASGI app: middleware, error handlers, routers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import docs_page, errors
from api.callers import KeyRing, KnownCallers
from api.middleware import BodyLimit, Measured
from api.openapi import describe
from api.routers import (
    datasets,
    exports,
    imports,
    models,
    operations,
    page,
    predict,
    predictions,
    records,
)
from api.state import state_for
from services.access.clients import networks
from services.settings import Settings
from services.telemetry import configure_logging
from services.version import code_version


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app; settings from the environment unless given."""
    settings = settings or Settings()
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    app = FastAPI(
        title="Ectopy",
        version=code_version(),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    state = app.state.ectopy = state_for(settings)
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_upload_bytes,
        larger={
            imports.PATH: (settings.max_import_bytes, "ECTOPY_MAX_IMPORT_BYTES"),
            datasets.PATH: (settings.max_dataset_bytes, "ECTOPY_MAX_DATASET_BYTES"),
        },
    )
    app.add_middleware(
        KnownCallers,
        key_ring=KeyRing(state.sessions),
        allowed=networks(settings.allowed_clients),
    )
    app.add_middleware(Measured)
    errors.install(app)
    rooms = (records, predictions, predict, exports, datasets, models, imports, operations, page)
    for room in rooms:
        app.include_router(room.router)
    docs_page.install(app)
    describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = app.state.ectopy
    state.waiter.start()
    yield
    await state.waiter.stop()
    state.engine.dispose()
