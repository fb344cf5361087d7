"""`ectopy models …`: the models on this machine, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.errors import NotFound
from services.registry.service import CARD, shipped_folders

app = typer.Typer(no_args_is_help=True, help="The models that come with Ectopy.")


@app.command(name="list")
def list_models() -> None:
    """Name, task and where the weights lie."""
    table = Table("name", "task", "family", "folder")
    for folder in shipped_folders():
        card = json.loads((folder / CARD).read_text())
        table.add_row(card["name"], card["task"], card["family"], str(folder))
    Console().print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="as `ectopy models list` prints it")]) -> None:
    """A model's card: data, protocol, figures, limits."""
    typer.echo(json.dumps(json.loads((model_folder(name) / CARD).read_text()), indent=2))


def model_folder(name: str) -> Path:
    """The folder of a shipped model, or of a path to a model folder."""
    for folder in shipped_folders():
        if json.loads((folder / CARD).read_text())["name"] == name:
            return folder
    if (Path(name) / CARD).is_file():
        return Path(name)
    known = ", ".join(folder.name for folder in shipped_folders())
    raise NotFound(f"no model {name!r}; there are: {known}")
