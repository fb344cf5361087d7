"""`ectopy ecgbert cluster …`: ECGBERT from a folder of records, without a server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.errors import NotPermitted
from services.models.ecgbert.reference.spec import PRETRAIN_BATCH_SIZE, PRETRAIN_LEARNING_RATE
from services.models.ecgbert.spec import CHUNK_TOKENS
from services.models.ecgbert.stages.parallel import Workforce
from services.models.ecgbert.stages.survey import surveyed

Folder = Annotated[Path, typer.Argument(help="of records: WFDB, EDF and whatever else is read")]
Jobs = Annotated[int, typer.Option(min=0, help="processes; 0 for one a processor")]
Seed = Annotated[int, typer.Option(min=0)]
LeaveOut = Annotated[
    str, typer.Option(help="records or patients that are never opened: 100,103 (test patients)")
]


class GranularityName(StrEnum):
    WAVE = "wave"
    SAMPLE = "sample"


class PrecisionName(StrEnum):
    OFF = "off"
    BF16 = "bf16"
    FP16 = "fp16"


GranularityOption = Annotated[
    GranularityName, typer.Option(help="one token a wave, or one a sample (3,600 are then 10 s)")
]
PrecisionOption = Annotated[PrecisionName, typer.Option(help="of the forward pass, on a GPU")]
Window = Annotated[
    int, typer.Option(min=8, max=CHUNK_TOKENS, help="tokens that attend to one another")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]


class DistanceName(StrEnum):
    EUCLIDEAN = "euclidean"
    DTW = "dtw"


def cluster(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="the .npz file to write")],
    leave_out: LeaveOut = "",
    distance: Annotated[
        DistanceName, typer.Option(help="between waves: dtw bends time and takes longer")
    ] = DistanceName.EUCLIDEAN,
    seed: Seed = 0,
    jobs: Jobs = 0,
) -> None:
    """Fit the clusters that make tokens of waves to every record of a folder."""
    from ectopy.commands.bars import progress_bar
    from services.models.ecgbert.pretraining.cluster_fitting import clusters_of_records

    check_writable(out)
    with progress_bar() as progress:
        run = Workforce(jobs, progress)
        records = surveyed(folder, run, leave_out=names(leave_out))
        clusters, counts = clusters_of_records(records, run, distance=distance.value, seed=seed)
    clusters.save(out)
    typer.echo(f"{out}: centres of {sum(counts)} waves of {len(records)} records")


def pretrain(
    folder: Folder,
    clusters: Annotated[Path, typer.Option(help="of `ectopy ecgbert cluster`, or a folder of it")],
    out: Annotated[Path, typer.Option(help="folder to write; the same one goes on")],
    leave_out: LeaveOut = "",
    granularity: GranularityOption = GranularityName.WAVE,
    epochs: Annotated[int, typer.Option(min=1)] = 50,
    batch: Annotated[int, typer.Option(min=1, help="chunks a step")] = PRETRAIN_BATCH_SIZE,
    learning_rate: Annotated[float, typer.Option(help="of AdamW")] = PRETRAIN_LEARNING_RATE,
    window: Window = CHUNK_TOKENS,
    precision: PrecisionOption = PrecisionName.OFF,
    seed: Seed = 0,
    jobs: Jobs = 0,
    device: Device = "auto",
) -> None:
    """Teach the network to name hidden waves of a folder of records: a base for fine-tuning."""
    from ectopy.commands.bars import progress_bar
    from services.models.ecgbert.pretraining.pretraining import PretrainingRecipe
    from services.models.ecgbert.pretraining.pretraining import pretrain as teach
    from services.models.ecgbert.public.cluster_files import clusters_at
    from worker.devices import device_for

    check_writable(out / "card.json")
    centers = clusters_at(clusters)
    recipe = PretrainingRecipe(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        granularity=granularity.value,
        attention_window=window,
        precision=precision.value,
        seed=seed,
    )
    with progress_bar() as progress:
        run = Workforce(jobs, progress)
        records = surveyed(folder, run, leave_out=names(leave_out))
        card = teach(records, centers, run, recipe=recipe, out=out, device=device_for(device))
    best = card["history"][card["best_epoch"] - 1]["metrics"]
    typer.echo(
        f"{out}: a base from {len(records)} records; of the hidden waves of patients that it did "
        f"not see it names {100 * best['masked_accuracy']:.0f} % (loss {best['masked_loss']:.3f})"
    )


def check_writable(file: Path) -> None:
    """NotPermitted before any work is spent; makes the folder of the file."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab"):
            pass
    except OSError as problem:
        raise NotPermitted(f"{file} cannot be written: {problem.strerror}") from problem
    if file.stat().st_size == 0:
        file.unlink()


def names(text: str) -> tuple[str, ...]:
    """`a, b` -> the names in it."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
