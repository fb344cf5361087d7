"""A record whose reference agrees with the fake predictor, but for three beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from tests.fakes import STEP_S
from tests.signals import made_files

RATE_HZ = 360


def parts_of(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """The files as Playwright gives them to a file input."""
    return [
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        for name, content in files.items()
    ]


def with_reference(folder: Path, *, duration_s: float = 20.0, seed: int = 0) -> dict[str, bytes]:
    """A record whose reference says what the fake predictor will say, but for three beats.

    The second beat (read as V) is N, the fourth is not there, and one stands where none is read.
    """
    files = made_files(duration_s=duration_s, seed=seed)
    n_samples = int(duration_s * RATE_HZ)
    sample = list(range(int(STEP_S * RATE_HZ), n_samples, int(STEP_S * RATE_HZ)))
    symbol = ["N" if i % 2 == 0 else "V" for i in range(len(sample))]
    symbol[1] = "N"
    del sample[3], symbol[3]
    sample.insert(8, sample[7] + 90)
    symbol.insert(8, "S")
    wfdb.wrann("made", "atr", np.array(sample), symbol, write_dir=str(folder))
    return files | {"made.atr": (folder / "made.atr").read_bytes()}
