"""The command line: the same as over HTTP, and what has no place there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ectopy.commands import beats, deepecg, ecgbert, keys, models, predict
from services.errors import EctopyError
from services.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reads ECGs with deep models. Research use only, not a medical device.",
)
app.command(name="predict")(predict.predict)
app.command(name="ec57")(beats.ec57)
app.command(name="train-default")(beats.train_default)
app.command(name="robustness")(beats.robustness)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.add_typer(ecgbert.app, name="ecgbert")
app.add_typer(deepecg.app, name="deepecg")


@app.command()
def serve(
    data: Annotated[Path | None, typer.Option(help="folder of everything that survives")] = None,
    port: Annotated[int | None, typer.Option(help="of the API; taken: an error")] = None,
    host: Annotated[str | None, typer.Option(help="that the API listens on")] = None,
    reload: Annotated[bool, typer.Option(help="start again when the code changes")] = False,
) -> None:
    """Start everything without Docker: Postgres, Valkey, the API and a worker."""
    from ectopy.serve.command import serve as serve_everything

    given = {"data_dir": data, "api_port": port, "api_host": host}
    settings = settings_with(given)
    raise typer.Exit(serve_everything(settings, reload=reload))


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema and register the models that come with it."""
    from ectopy.commands.migrate import migrate as bring_up

    bring_up()


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="the archive to write")],
    data: Annotated[Path | None, typer.Option(help="data folder of `ectopy serve`")] = None,
) -> None:
    """Write database and files into one archive; the service may run meanwhile."""
    from ectopy.commands.backup import backup as back_up
    from ectopy.commands.database import reached_database

    settings = settings_with({"data_dir": data})
    with reached_database(settings) as url:
        kept = back_up(url, settings, file)
    typer.echo(f"{sum(kept.rows.values())} rows and {kept.files} files in {file}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="what `ectopy backup` wrote", exists=True)],
    data: Annotated[Path | None, typer.Option(help="a new data folder")] = None,
) -> None:
    """Fill an empty database and store from an archive."""
    from ectopy.commands.backup import restore as bring_back
    from ectopy.commands.database import reached_database

    settings = settings_with({"data_dir": data})
    with reached_database(settings) as url:
        kept = bring_back(url, settings, file)
    typer.echo(f"{sum(kept.rows.values())} rows and {kept.files} files are back")


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from ectopy.commands.document import document

    sys.stdout.write(document())


def settings_with(given: Mapping[str, Any]) -> Settings:
    """Settings from the environment, with what the command line says instead of it."""
    told = {name: value for name, value in given.items() if value is not None}
    return Settings(**told)


def main() -> None:
    """Entry point: deliberate errors as one line, everything else as it comes."""
    try:
        app()
    except EctopyError as error:
        typer.echo(f"ectopy: {error.title}: {error.detail}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
