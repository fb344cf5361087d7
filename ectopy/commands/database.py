"""The database that a command works on: the one of the settings, or that of `ectopy serve` here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL, make_url

from ectopy.commands.migrate import bring_up
from services.db.session import SessionFactory, engine_for, session_factory
from services.errors import Unavailable
from services.settings import Settings


@contextmanager
def reached_database(settings: Settings) -> Iterator[URL]:
    """The URL of a database that answers, with this version's schema in it.

    Where no `database_url` is set it is that of the data folder, which is started for as long as
    the block lasts when `ectopy serve` does not run there.
    """
    if "database_url" in settings.model_fields_set:
        yield settings.database
        return
    from ectopy.serve import ports, processes  # not to be imported where there is no `fcntl`
    from ectopy.serve.errors import CannotServe
    from ectopy.serve.folder import DataFolder
    from ectopy.serve.orphans import stop_orphans
    from ectopy.serve.postgres import Postgres
    from ectopy.serve.servers import start_postgres

    try:
        folder = DataFolder.open(settings.data_dir)
        running = Postgres(folder, ports.remembered(folder).get("postgres", 0))
        if folder.postgres.exists() and running.port and running.is_ready():
            yield make_url(running.url)
            return
        with folder.locked():
            stop_orphans(folder)
            server, child = start_postgres(folder, say=lambda _: None, pause=time.sleep)
            try:
                bring_up(make_url(server.url))
                yield make_url(server.url)
            finally:
                processes.stop(child)
    except CannotServe as error:
        raise Unavailable(str(error)) from error


@contextmanager
def reached_sessions(settings: Settings) -> Iterator[SessionFactory]:
    """Sessions on that database."""
    with reached_database(settings) as url:
        engine = engine_for(url)
        try:
            yield session_factory(engine)
        finally:
            engine.dispose()
