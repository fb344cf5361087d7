"""`ectopy ecgbert cluster …`: ECGBERT from a folder of records, without a server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.errors import NotPermitted
from services.models.ecgbert.stages.parallel import Workforce
from services.models.ecgbert.stages.survey import surveyed

Folder = Annotated[Path, typer.Argument(help="of records: WFDB, EDF and whatever else is read")]
Jobs = Annotated[int, typer.Option(min=0, help="processes; 0 for one a processor")]
Seed = Annotated[int, typer.Option(min=0)]
LeaveOut = Annotated[
    str, typer.Option(help="records or patients that are never opened: 100,103 (test patients)")
]


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
