"""Where the samples of a record are kept: in memory, or mapped to a file when there are many."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from services.ecg.record import FloatArray

MAPPED_FROM_VALUES = 16_000_000  # 64 MB of float32; a larger record goes to a file

_FILE_NAME = "signal.f32"


def empty_signal(n_leads: int, n_samples: int, workspace: Path) -> FloatArray:
    """(n_leads, n_samples) float32 to write to, of no particular content."""
    shape = (n_leads, n_samples)
    if n_leads * n_samples <= MAPPED_FROM_VALUES:
        return np.empty(shape, dtype=np.float32)
    return np.memmap(workspace / _FILE_NAME, dtype=np.float32, mode="w+", shape=shape)


def finished(signal: FloatArray) -> FloatArray:
    """The same samples; a mapped array can only be read from now on."""
    if not isinstance(signal, np.memmap) or signal.filename is None:
        return signal
    return np.memmap(signal.filename, dtype=np.float32, mode="r", shape=signal.shape)
