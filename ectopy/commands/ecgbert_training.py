"""`ectopy ecgbert cluster …`: ECGBERT from a folder of records, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.ecg.rpeaks import OWN_METHOD
from services.errors import NotPermitted, UnusableInput
from services.models.ecgbert.reference.spec import (
    BATCH_SIZE,
    EPOCHS,
    LEARNING_RATE,
    PRETRAIN_BATCH_SIZE,
    PRETRAIN_LEARNING_RATE,
    SPLIT_SEED,
    TEST_SIZE,
)
from services.models.ecgbert.spec import CHUNK_TOKENS
from services.models.ecgbert.stages.parallel import Workforce
from services.models.ecgbert.stages.settings import Mode
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


class LossName(StrEnum):
    CROSS_ENTROPY = "cross_entropy"
    FOCAL = "focal"


class WeightsName(StrEnum):
    NONE = "none"
    BALANCED = "balanced"


class ScheduleName(StrEnum):
    CONSTANT = "constant"
    COSINE = "cosine"


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

    if out.resolve() == folder.resolve():
        raise UnusableInput("--out: the folder of the records itself; name another one")
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
        records = surveyed(folder, run, leave_out=names(leave_out), outside=out)
        card = teach(records, centers, run, recipe=recipe, out=out, device=device_for(device))
    best = card["history"][card["best_epoch"] - 1]["metrics"]
    typer.echo(
        f"{out}: a base from {len(records)} records; of the hidden waves of patients that it did "
        f"not see it names {100 * best['masked_accuracy']:.0f} % (loss {best['masked_loss']:.3f})"
    )


def finetune(
    mitdb: Annotated[Path, typer.Argument(help="folder of annotated records, MIT-BIH's or others")],
    out: Annotated[Path, typer.Option(help="folder that the task's folder is made in")],
    pretrained: Annotated[
        Path | None,
        typer.Option(help="the public weights' file or folder, or a base; none: random weights"),
    ] = None,
    clusters: Annotated[
        Path | None,
        typer.Option(help="a .npz or a folder of the public files; none: the base's, or fitted"),
    ] = None,
    task_name: Annotated[str, typer.Option(help="name of the folder")] = "Heartbeat_Classification",
    binary: Annotated[bool, typer.Option(help="normal or abnormal instead of N S V F Q")] = False,
    mode: Annotated[
        Mode, typer.Option(help="default, or reference: the original's arithmetic, quirks included")
    ] = Mode.DEFAULT,
    granularity: Annotated[
        GranularityName | None,
        typer.Option(help="one token a wave, or one a sample; else as the base"),
    ] = None,
    window: Window = CHUNK_TOKENS,
    epochs: Annotated[int, typer.Option(min=1)] = EPOCHS,
    batch: Annotated[int, typer.Option(min=1, help="chunks a step")] = BATCH_SIZE,
    learning_rate: Annotated[float, typer.Option(help="of Adam")] = LEARNING_RATE,
    loss: Annotated[LossName, typer.Option(help="focal looks away from what is easy")] = (
        LossName.CROSS_ENTROPY
    ),
    class_weights: Annotated[
        WeightsName, typer.Option(help="balanced weighs rare classes up, at most tenfold")
    ] = WeightsName.NONE,
    train_embedding: Annotated[
        bool, typer.Option(help="the embedding learns too; the guide freezes it")
    ] = False,
    schedule: Annotated[ScheduleName, typer.Option(help="of the learning rate")] = (
        ScheduleName.CONSTANT
    ),
    patience: Annotated[int, typer.Option(min=0, help="epochs without gain; 0 never stops")] = 0,
    precision: PrecisionOption = PrecisionName.OFF,
    rpeaks: Annotated[str, typer.Option(help="R-peak detector of the default mode")] = OWN_METHOD,
    test_size: Annotated[float, typer.Option(help="share of the patients that validate")] = (
        TEST_SIZE
    ),
    validation: Annotated[str, typer.Option(help="records that validate instead: 100,103")] = "",
    leave_out: LeaveOut = "",
    allow_missing_classes: Annotated[
        bool, typer.Option(help="train although no beat of some class is annotated")
    ] = False,
    pickle: Annotated[
        bool, typer.Option(help="also write the guide's .pkl and .pth files")
    ] = False,
    seed: Seed = SPLIT_SEED,
    jobs: Jobs = 0,
    device: Device = "auto",
) -> None:
    """Run the guide's four steps on a folder of records, from its signals to a model."""
    from ectopy.ecgbert import run_finetuning

    chosen = {
        "attention_window": window,
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "loss": loss.value,
        "class_weights": class_weights.value,
        "train_embedding": train_embedding,
        "schedule": schedule.value,
        "patience": patience,
        "precision": precision.value,
    } | ({"granularity": granularity.value} if granularity else {})
    figures = run_finetuning(
        mitdb,
        pretrained,
        clusters,
        out,
        binary,
        task_name,
        mode=mode,
        hyperparameters=chosen,
        jobs=jobs,
        device=device,
        seed=seed,
        rpeaks=rpeaks,
        test_size=test_size,
        validation=names(validation),
        leave_out=names(leave_out),
        allow_missing_classes=allow_missing_classes,
        pickle=pickle,
    )
    _print_figures(figures, out / task_name / "results")


def _print_figures(figures: Mapping[str, Any], results: Path) -> None:
    model = figures["models"][0]
    typer.echo(f"{figures['records']} records validate, {figures['beats']} beats")
    rows = [(row["label"], row["f1"]["value"]) for row in model["per_class"]]
    for label, f1 in (*rows, ("mean", model["macro_f1"]["value"])):
        typer.echo(f"  {label:<9}F1 {'-' if f1 is None else f'{100 * f1:.1f} %'}")
    typer.echo(f"{results}: model, metrics.json, report.html, confusion.csv, by_patient.csv")
    typer.echo("Research use only, not a medical device.")


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
