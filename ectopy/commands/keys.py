"""`ectopy keys …`: API keys, made and ended on the machine of the service."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ectopy.commands.database import reached_sessions
from services import clock
from services.access import audit, keys
from services.access.audit import Deed
from services.access.caller import DEFAULT_PROJECT
from services.access.row import ApiKeyRow
from services.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="API keys. Once one was made, every caller needs one, on this machine too.",
)

Data = Annotated[Path | None, typer.Option(help="data folder of `ectopy serve`; else as set")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="what it is for, to be told from others")],
    scopes: Annotated[str, typer.Option(help="of read, predict, train, admin")] = "read,predict",
    project: Annotated[str, typer.Option(help="whose records and models it reaches")] = (
        DEFAULT_PROJECT
    ),
    days: Annotated[int | None, typer.Option(min=1, help="until it expires; else never")] = None,
    data: Data = None,
) -> None:
    """Make a key. It is shown this once, and kept nowhere."""
    expires_at = clock.now() + timedelta(days=days) if days is not None else None
    with reached_sessions(_settings(data)) as sessions, sessions.begin() as session:
        row, text = keys.create(
            session,
            name=name,
            scopes=[scope.strip() for scope in scopes.split(",") if scope.strip()],
            project_id=project,
            expires_at=expires_at,
        )
        audit.note(session, _deed(row, "keys.create"))
        said = f"project {row.project_id}, {', '.join(row.scopes)}, {_until(row)}"
    typer.echo(f"{row.id} for {row.name}: {said}", err=True)
    typer.echo("shown this once, so keep it now; send it as `Authorization: Bearer …`", err=True)
    typer.echo(text)


@app.command(name="list")
def list_keys(data: Data = None) -> None:
    """Every key, also those that are no longer good, without their secret part."""
    with reached_sessions(_settings(data)) as sessions, sessions() as session:
        rows = keys.every(session)
    table = Table("id", "prefix", "name", "project", "scopes", "made", "good")
    for row in rows:
        made = f"{row.created_at:%Y-%m-%d}"
        scopes = ", ".join(row.scopes)
        table.add_row(row.id, row.prefix, row.name, row.project_id, scopes, made, _until(row))
    Console().print(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="its id or its prefix, as `ectopy keys list` says")],
    data: Data = None,
) -> None:
    """End a key at once and for good."""
    with reached_sessions(_settings(data)) as sessions, sessions.begin() as session:
        row = keys.revoke(session, key)
        audit.note(session, _deed(row, "keys.revoke"))
    typer.echo(f"revoked {row.id} ({row.name})")


def _settings(data: Path | None) -> Settings:
    return Settings() if data is None else Settings(data_dir=data)


def _deed(row: ApiKeyRow, action: str) -> Deed:
    return Deed(row.project_id, action, row.id, client=audit.COMMAND_LINE)


def _until(row: ApiKeyRow) -> str:
    if row.revoked_at is not None:
        return f"revoked {row.revoked_at:%Y-%m-%d}"
    if row.expires_at is None:
        return "for ever"
    said = "until" if keys.is_good(row) else "expired"
    return f"{said} {row.expires_at:%Y-%m-%d %H:%M} UTC"
