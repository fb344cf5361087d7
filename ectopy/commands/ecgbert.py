"""`ectopy ecgbert …`: the public ECGBERT files, and every step of the original beside ours."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ectopy.commands import ecgbert_training
from services.errors import UnusableInput
from services.training.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.generic]]

app = typer.Typer(
    no_args_is_help=True, help="ECGBERT from a folder of records, and its original's arithmetic."
)
app.command()(ecgbert_training.cluster)
app.command()(ecgbert_training.pretrain)
app.command()(ecgbert_training.finetune)

Checkpoint = Annotated[
    Path, typer.Option("--checkpoint", help="the public .pth file, or the folder it lies in")
]


class Compat(StrEnum):
    REFERENCE = "reference"
    DEFAULT = "default"


@app.command()
def trace(
    record: Annotated[
        Path, typer.Argument(help="a WFDB record: a .hea file, or its name; default: any format")
    ],
    checkpoint: Checkpoint,
    clusters: Annotated[
        Path, typer.Option(help="clusters.npz, or a folder with it or the four cluster files")
    ],
    out: Annotated[Path, typer.Option(help="the .npz file to write")],
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="read the first seconds as the whole record")
    ] = None,
    compat: Annotated[
        Compat, typer.Option(help="whose arithmetic: reference is the original's, quirks included")
    ] = Compat.REFERENCE,
) -> None:
    """Write every intermediate value of a record, under the golden files' names and shapes."""
    import numpy as np

    from ectopy.commands.bars import progress_bar

    if not out.parent.is_dir():  # before any work is spent
        raise UnusableInput(f"--out: there is no folder {out.parent}")
    traced = _default_trace if compat is Compat.DEFAULT else _reference_trace
    with progress_bar() as progress:
        arrays = traced(record, seconds, checkpoint, clusters, progress)
    with out.open("wb") as file:  # numpy would add its own ending to a name without one
        np.savez_compressed(file, allow_pickle=False, **arrays)
    typer.echo(f"{out}: {len(arrays)} arrays")


def _reference_trace(
    record: Path, seconds: float | None, checkpoint: Path, clusters: Path, progress: Progress
) -> Arrays:
    from services.models.ecgbert.public.checkpoint import guide_network, read_checkpoint
    from services.models.ecgbert.public.cluster_files import clusters_at
    from services.models.ecgbert.reference.digital_record import read_digital_record
    from services.models.ecgbert.reference.trace import reference_trace

    network = guide_network(read_checkpoint(checkpoint))
    centers = clusters_at(clusters)
    digital = read_digital_record(record, seconds=seconds)
    return reference_trace(digital, centers, network, progress=progress)


def _default_trace(
    record: Path, seconds: float | None, checkpoint: Path, clusters: Path, progress: Progress
) -> Arrays:
    from services.ecg.readers.files import record_from_path
    from services.models.ecgbert.guide.trace import default_trace, first_seconds
    from services.models.ecgbert.public.checkpoint import guide_network
    from services.models.ecgbert.stages.base import start_from
    from services.models.ecgbert.stages.settings import Mode

    start = start_from(checkpoint, clusters, mode=Mode.DEFAULT)
    if start.labels or start.tensors is None or start.clusters is None:
        raise UnusableInput("--checkpoint: name a base; this model's output is no vocabulary")
    network = guide_network(start.tensors)
    ecg = first_seconds(record_from_path(record), seconds)
    return default_trace(ecg, start.clusters, network, progress=progress)


@app.command(name="import-checkpoint")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="the public .pth file, or the folder it lies in")],
    clusters: Annotated[Path, typer.Option(help="folder with P_cluster.pkl and the other three")],
    out: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Bring the public weights and clusters in: checked, ids made the guide's, nothing executed."""
    from services.models.ecgbert.public.pretrained_folder import import_public_files

    for name in import_public_files(file, clusters=clusters, into=out):
        typer.echo(f"{out / name}")
