"""A record whose reference agrees with the fake predictor, but for three beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from tests.fakes import STEP_S
from tests.signals import made_ecg, made_files

RATE_HZ = 360
TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def parts_of(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """The files as Playwright gives them to a file input."""
    return [
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        for name, content in files.items()
    ]


def twelve_leads(*, duration_s: float = 10.0, seed: int = 0) -> dict[str, bytes]:
    """A 12-lead record at 250 Hz whose limb leads fit each other; V1 is R peaks of 0.4 mV down."""
    gains = {
        "I": 0.5,
        "II": 0.9,
        "V1": -0.4,
        "V2": -0.6,
        "V3": 0.4,
        "V4": 1.2,
        "V5": 1.1,
        "V6": 0.8,
    }
    gains |= {"III": 0.4, "aVR": -0.7, "aVL": 0.05, "aVF": 0.65}
    signal, _ = made_ecg(
        duration_s=duration_s,
        sampling_rate_hz=250.0,
        lead_gains_mv=tuple(gains[name] for name in TWELVE),
        noise_mv=0.0,
        seed=seed,
    )
    counts = np.round(signal * 1000).astype("<i2")
    lines = [f"twelve 12 250 {counts.shape[1]}"]
    lines += [f"twelve.dat 16 1000(0)/mV 16 0 0 0 0 {name}" for name in TWELVE]
    lines.append(f"# made with seed {seed}")
    return {
        "twelve.hea": ("\n".join(lines) + "\n").encode(),
        "twelve.dat": np.ascontiguousarray(counts.T).tobytes(),
    }


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
