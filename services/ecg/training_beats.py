"""Beat times of the records that a model was trained on, as a small file of its folder.

With it a copy of a training record is known again, whatever its name, and no signal is given away.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from services.ecg.rhythm_print import Seconds
from services.errors import MalformedInput

TRAINING_BEATS = "training_beats.npz"
MAX_BYTES = 64 << 20


def write_training_beats(path: Path, beats: Mapping[str, Seconds]) -> None:
    """beats: record name -> (n,) seconds of its R peaks. Kept to the millisecond."""
    names = sorted(beats)
    intervals = [np.diff(np.rint(1000 * beats[n].astype(np.float64)), prepend=0) for n in names]
    np.savez_compressed(
        path,
        names=np.array(names, dtype=np.str_),
        n_beats=np.array([len(part) for part in intervals], dtype=np.int64),
        interval_ms=np.concatenate([*intervals, np.empty(0)]).astype(np.int32),
    )


def read_training_beats(path: Path) -> dict[str, Seconds]:
    """Record name -> beat times. MalformedInput for a file that is not what it should be."""
    if path.stat().st_size > MAX_BYTES:
        raise MalformedInput(f"{TRAINING_BEATS} is larger than {MAX_BYTES:,} bytes")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            names, n_beats = arrays["names"].tolist(), arrays["n_beats"].astype(np.int64)
            interval_ms = arrays["interval_ms"].astype(np.float64)
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise MalformedInput(f"{TRAINING_BEATS} is not readable") from error
    if len(names) != len(n_beats) or (n_beats < 0).any() or n_beats.sum() != len(interval_ms):
        raise MalformedInput(f"{TRAINING_BEATS} does not fit together")
    parts = np.split(interval_ms, np.cumsum(n_beats)[:-1]) if len(names) else []
    times = [(np.cumsum(part) / 1000).astype(np.float32) for part in parts]
    return dict(zip(names, times, strict=True))
