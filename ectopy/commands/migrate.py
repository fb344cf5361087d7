"""`ectopy migrate`: schema and shipped models."""

from __future__ import annotations

import typer
from sqlalchemy.engine import URL

from services.db.migrate import upgrade
from services.db.session import engine_for, session_factory
from services.registry.files import keep_shipped
from services.registry.service import register_shipped
from services.settings import Settings
from services.storage.factory import store_for


def bring_up(url: URL) -> list[str]:
    """The schema of this version, and its models registered; returns the new ones."""
    upgrade(url)
    engine = engine_for(url)
    try:
        with session_factory(engine).begin() as session:
            return [f"{version.name}@{version.version}" for version in register_shipped(session)]
    finally:
        engine.dispose()


def migrate() -> None:
    settings = Settings()
    keep_shipped(store_for(settings))
    added = bring_up(settings.database)
    typer.echo("the database is up to date")
    if added:
        typer.echo(f"registered {', '.join(added)}")
