"""`ectopy predict RECORD`: beat labels without a server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer

from ectopy.commands.bars import progress_bar
from ectopy.commands.models import model_folder
from services.models.results import BeatResult
from services.registry.service import CARD

DEFAULT_MODEL = "ecgbert-beats"


class OutputFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def predict(
    record: Annotated[Path, typer.Argument(help="a .hea file, its name without .hea, or a .zip")],
    model: Annotated[str, typer.Option(help="name or folder of a model")] = DEFAULT_MODEL,
    output: Annotated[OutputFormat, typer.Option("--format", help="what to print")] = (
        OutputFormat.TABLE
    ),
    annotations: Annotated[
        Path | None, typer.Option(help="also write a .zip with a WFDB annotation file here")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Label every beat of a record."""
    result = predicted(record, model=model, device=device)
    if annotations is not None:
        from services.predictions.exports import annotation_zip

        annotations.write_bytes(annotation_zip(result, record_name=record.stem))
    _print(result, output)


def predicted(record: Path, *, model: str, device: str) -> BeatResult:
    """Reads, loads and predicts, with a bar on standard error."""
    from services.ecg.readers.files import record_from_path
    from services.models.catalog import FAMILY_SPECS
    from services.models.families import FAMILIES
    from worker.devices import device_for

    folder = model_folder(model)
    family = orjson.loads((folder / CARD).read_text())["family"]
    options = {name: option.default for name, option in FAMILY_SPECS[family].options.items()}
    with progress_bar() as progress:
        progress.advance(0.0, stage="reading")
        ecg = record_from_path(record)
        progress.advance(0.0, stage="loading the model")
        predictor = FAMILIES[family].load(folder, device=device_for(device))
        result = predictor.predict(ecg, options=options, progress=progress)
    if not isinstance(result, BeatResult):
        raise TypeError(f"{model} does not label beats")
    return result


def _print(result: BeatResult, output: OutputFormat) -> None:
    from services.predictions.beat_json import beat_json
    from services.predictions.exports import csv_bytes

    if output is OutputFormat.CSV:
        typer.echo(csv_bytes(result).decode(), nl=False)
        return
    if output is OutputFormat.JSON:
        body = {"counts": result.counts(), "beats": orjson.Fragment(beat_json(result))}
        typer.echo(orjson.dumps(body))
        return
    rate = result.mean_heart_rate_bpm()
    typer.echo(f"leads used        {', '.join(result.leads_used)}")
    typer.echo(f"beats             {len(result.sample)}")
    for label, count in result.counts().items():
        typer.echo(f"  {label:<16}{count}")
    typer.echo(f"mean heart rate   {'-' if rate is None else f'{rate:.1f} /min'}")
    for note in result.notes:
        typer.echo(f"note: {note}")
    typer.echo("Research use only, not a medical device.")
