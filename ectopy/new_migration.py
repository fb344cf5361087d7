"""Drafts a migration: what the tables in the code have that the last migration does not make."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy.engine import make_url

from ectopy.serve.embedded import embedded_servers
from services import clock
from services.db.migrate import alembic_config, upgrade


def new_migration(message: str) -> None:
    """Compare with a database of its own, made for this; Alembic says which file it wrote."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_servers(Path(folder)) as (database_url, _),
    ):
        url = make_url(database_url)
        upgrade(url)
        # the file is called by the revision and then by the message
        revision = f"{clock.now():%Y_%m_%d_%H%M}"
        command.revision(alembic_config(url), message, autogenerate=True, rev_id=revision)


if __name__ == "__main__":
    new_migration(sys.argv[1])
