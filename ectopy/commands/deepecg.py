"""`ectopy deepecg …`: the public DeepECG checkpoints, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from services.errors import MalformedInput, UnusableInput
from services.models.deepecg import spec

if TYPE_CHECKING:
    from services.ecg.record import FloatArray

app = typer.Typer(no_args_is_help=True, help="The public DeepECG checkpoints.")

Checkpoint = Annotated[Path, typer.Option(exists=True, dir_okay=False, help="wcr_afib_5y.pt")]
InFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a public checkpoint")]


@app.command()
def logits(
    checkpoint: Checkpoint,
    x: Annotated[Path, typer.Option("--input", exists=True, help="n x 12 x 2500 float32, mV")],
    y: Annotated[Path, typer.Option("--out", "--output", help="where the n x 1 float32 logits go")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Compute the network's logits of prepared windows, for comparison with another program."""
    windows = _windows(x)
    from services.models.deepecg.checkpoint import network_from, read_checkpoint
    from services.models.deepecg.inference import WindowLogits
    from worker.devices import device_for

    network = network_from(read_checkpoint(checkpoint))
    values = WindowLogits(network, device=device_for(device))(windows)
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise UnusableInput(f"{x.name}: window {bad[0]} holds NaN or infinite samples")
    with y.open("wb") as file:  # the name as it was given, without a suffix of numpy's
        np.save(file, values.astype(np.float32)[:, None])
    typer.echo(f"{len(values)} logits in {y}")


@app.command(name="reset-head")
def reset_head(
    source: InFile,
    target: Annotated[Path, typer.Argument(help="the checkpoint to write")],
    seed: Annotated[int, typer.Option(help="of the new head")] = 1,
) -> None:
    """Write a classifier again with a new head: Xavier uniform weight, zero bias."""
    from services.models.deepecg.checkpoint import (
        Head,
        Layout,
        network_from,
        read_checkpoint,
        save_checkpoint,
    )

    if target.exists() and target.samefile(source):
        raise UnusableInput("the new checkpoint must be another file than the old one")
    checkpoint = read_checkpoint(source)
    if checkpoint.layout is Layout.BASE_SSL:
        raise UnusableInput(f"{source.name}: the pre-trained model has no head to reset")
    save_checkpoint(network_from(checkpoint, head=Head.RESET, seed=seed), target, like=checkpoint)
    typer.echo(f"{target}: head drawn anew with seed {seed}, everything else as in {source}")


@app.command()
def info(source: InFile) -> None:
    """Say which public file this is, after checking every tensor."""
    from services.models.deepecg.checkpoint import read_checkpoint
    from services.models.deepecg.importing import look_untrained, sha256_of

    checkpoint = read_checkpoint(source)
    numbers = sum(tensor.numel() for tensor in checkpoint.tensors.values())
    typer.echo(f"layout     {checkpoint.layout}")
    typer.echo(f"tensors    {len(checkpoint.tensors)} kept, {numbers:,} numbers")
    typer.echo(f"stored as  {str(checkpoint.dtype).removeprefix('torch.')}")
    typer.echo(f"sha256     {sha256_of(source)}")
    if look_untrained(checkpoint.tensors):
        typer.echo("synthetic  these weights were drawn, not trained: nothing they give is a risk")


def _windows(path: Path) -> FloatArray:
    """The array of a .npy file, mapped, after its type and shape have been checked."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as problem:
        raise MalformedInput(f"{path.name}: no .npy array of numbers: {problem}") from problem
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        found = getattr(array, "dtype", "an archive of arrays")
        raise UnusableInput(f"{path.name}: float32 expected, found {found}")
    wanted = (len(spec.LEADS), spec.WINDOW_SAMPLES)
    if array.ndim != 3 or array.shape[1:] != wanted or not len(array):
        found = " x ".join(map(str, array.shape))
        raise UnusableInput(f"{path.name}: n x {wanted[0]} x {wanted[1]} expected, found {found}")
    return array
