"""`ectopy models …`: the models on this machine, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.access.caller import DEFAULT_PROJECT
from services.errors import NotFound
from services.models.deepecg.spec import HUB_FILE, HUB_REPOSITORY
from services.registry.service import CARD, shipped_folders
from services.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="Models: those that come with Ectopy, and others to bring in."
)


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


@app.command(name="import")
def import_model(
    file: Annotated[
        Path,
        typer.Argument(
            help="wcr_afib_5y.pt or base_ssl.pt; with --task beats ECGBERT's .pth file; "
            "or a version's download of another Ectopy (.zip), or a model folder, for any task",
            exists=True,
        ),
    ],
    name: Annotated[str | None, typer.Option(help="of the model; else the file's usual")] = None,
    task: Annotated[str, typer.Option(help="of the model")] = "afib-5y",
    project: Annotated[str, typer.Option(help="whose model it will be")] = DEFAULT_PROJECT,
    clusters: Annotated[
        Path | None,
        typer.Option(exists=True, help="ECGBERT's: folder of the four .pkl files, or an .npz"),
    ] = None,
) -> None:
    """Bring a published checkpoint or a version in; nothing in it is executed."""
    from ectopy.commands.importing import import_file, import_folder

    if file.is_dir():
        lines = import_folder(Settings(), file, name=name, task=task, project_id=project)
    else:
        lines = import_file(
            Settings(), file, name=name, task=task, project_id=project, clusters=clusters
        )
    for line in lines:
        typer.echo(line)


@app.command(name="training-beats")
def training_beats(
    name: Annotated[str, typer.Argument(help="of a shipped model, or a model's folder")],
    records: Annotated[Path, typer.Option(help="folder of the records that its card names")],
) -> None:
    """Write the beat times of a model's training records, by which datasets find copies of them."""
    from ectopy.commands.bars import progress_bar
    from ectopy.training_beats import remember_training

    with progress_bar() as progress:
        written = remember_training(records, model_folder(name), progress=progress)
    typer.echo(f"written: {written}")


@app.command()
def fetch(
    repository: Annotated[str, typer.Option(help="on the Hugging Face hub")] = HUB_REPOSITORY,
    file: Annotated[str, typer.Option(help="of that repository")] = HUB_FILE,
    name: Annotated[str | None, typer.Option(help="of the model; else the file's usual")] = None,
    project: Annotated[str, typer.Option(help="whose model it will be")] = DEFAULT_PROJECT,
) -> None:
    """Download a gated checkpoint with your own token (HF_TOKEN, or `hf auth login`); import it."""
    from ectopy.commands.fetching import fetched
    from ectopy.commands.importing import import_file

    checkpoint = fetched(repository, file)
    lines = import_file(Settings(), checkpoint, name=name, task="afib-5y", project_id=project)
    for line in lines:
        typer.echo(line)


def model_folder(name: str) -> Path:
    """The folder of a shipped model, or of a path to a model folder."""
    for folder in shipped_folders():
        if json.loads((folder / CARD).read_text())["name"] == name:
            return folder
    if (Path(name) / CARD).is_file():
        return Path(name)
    known = ", ".join(folder.name for folder in shipped_folders())
    raise NotFound(f"no model {name!r}; there are: {known}")
