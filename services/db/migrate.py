"""Brings the database to the schema of this version; safe to run from several processes at once."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

_LOCK = 0x45C709  # any constant that no other program uses in this database


def alembic_config(url: URL) -> Config:
    """Alembic's configuration without an ini file: the scripts lie in the package `migrations`."""
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["url"] = url
    return config


def upgrade(url: URL, revision: str = "head") -> None:
    """Runs what migrations are missing, one process at a time."""
    _locked(url, lambda config: command.upgrade(config, revision))


def downgrade(url: URL, revision: str) -> None:
    """Takes migrations back down to a revision."""
    _locked(url, lambda config: command.downgrade(config, revision))


def knows(url: URL, revision: str) -> bool:
    """Whether this version has the migration of that name."""
    try:
        return ScriptDirectory.from_config(alembic_config(url)).get_revision(revision) is not None
    except CommandError:
        return False


def _locked(url: URL, run: Callable[[Config], None]) -> None:
    engine = create_engine(url)
    config = alembic_config(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
            connection.commit()
            config.attributes["connection"] = connection
            run(config)
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()
    finally:
        engine.dispose()
