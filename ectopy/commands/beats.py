"""`ectopy ec57` and `ectopy train-default`: how good the beat model is, and making it again."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ectopy.commands.bars import progress_bar
from ectopy.commands.models import model_folder
from ectopy.commands.predict import DEFAULT_MODEL
from services.ecg.labels import DS1, DS2
from services.errors import UnusableInput

Mitdb = Annotated[Path, typer.Option(help="folder of MIT-BIH records (100.hea, 100.dat, ...)")]


def ec57(
    mitdb: Mitdb,
    model: Annotated[
        list[str] | None,
        typer.Option(help="name or folder of a model; several are also given as mean and spread"),
    ] = None,
    records: Annotated[str, typer.Option(help="DS1, DS2, or names: 100,103")] = "DS2",
    annotated_peaks: Annotated[
        bool, typer.Option(help="label the annotated beats instead of finding them")
    ] = False,
    detection: Annotated[bool, typer.Option(help="score the R-peak detector alone")] = False,
    method: Annotated[str, typer.Option(help="detector, with --detection")] = "ectopy",
    json_file: Annotated[Path | None, typer.Option("--json", help="also write this file")] = None,
    into_card: Annotated[
        bool, typer.Option(help="test on DS2 and write all of it into the first model's card")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Find and label the beats of MIT-BIH records; print AAMI EC57 figures."""
    from ectopy.ec57 import evaluate, evaluate_detection, print_ec57, spread_text

    names = record_names(records)
    with progress_bar() as progress:
        if into_card:
            from ectopy.default_card import write_test

            folders = [model_folder(each) for each in model or [DEFAULT_MODEL]]
            results = write_test(folders, mitdb, progress=progress)
        elif detection:
            results = [evaluate_detection(mitdb, names, method=method, progress=progress)]
        else:
            from worker.devices import device_for

            results = [
                evaluate(
                    mitdb,
                    model_folder(each),
                    names,
                    annotated_peaks=annotated_peaks,
                    device=device_for(device),
                    progress=progress,
                )
                for each in model or [DEFAULT_MODEL]
            ]
    print_ec57(results[0], json_path=json_file)
    if len(results) > 1:
        typer.echo("\n" + spread_text(results))


def train_default(
    mitdb: Mitdb,
    out: Annotated[Path, typer.Option(help="folder to write the model to")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    calibrated_as: Annotated[
        Path | None,
        typer.Option(help="model folder whose calibration is taken: no cross-validation, quicker"),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="train so many, from --seed on; only the first is kept")
    ] = 1,
) -> None:
    """Train the default beat model again from the DS1 records of a folder.

    DS2 is not opened until all is trained; where the folder holds it, the card then says how the
    model does on it, and how much seeds differ.
    """
    from ectopy.default_card import holds_all, write_test
    from ectopy.training_beats import remember_training
    from services.models.ecgbert.default_model import train_default as train

    tested = holds_all(mitdb)
    if seeds > 1 and not tested:
        raise UnusableInput("several seeds are compared on DS2, which the folder does not hold")
    with progress_bar() as progress, TemporaryDirectory() as elsewhere:
        train(mitdb, out, seed=seed, calibrated_as=calibrated_as, progress=progress)
        remember_training(mitdb, out, progress=progress)
        folders = [out]
        for more in range(seed + 1, seed + seeds):
            folders.append(Path(elsewhere) / f"seed{more}")
            train(mitdb, folders[-1], seed=more, calibrated_as=out, progress=progress)
        if tested:
            write_test(folders, mitdb, progress=progress)
    typer.echo(f"written: {out}")


def robustness(
    mitdb: Mitdb,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Read left-out patients of DS1 on one lead, at other rates, in noise and in pieces."""
    from services.models.ecgbert.robustness import robustness as measured
    from services.models.ecgbert.robustness import robustness_text

    with progress_bar() as progress:
        found = measured(mitdb, seed=seed, progress=progress)
    typer.echo(robustness_text(found))


def record_names(text: str) -> tuple[str, ...]:
    """`DS1`, `DS2`, or names with commas between them."""
    known = {"DS1": DS1, "DS2": DS2}
    return known.get(text.upper()) or tuple(name.strip() for name in text.split(",") if name)
