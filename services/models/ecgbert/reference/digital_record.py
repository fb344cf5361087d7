"""A WFDB record's stored integers, which float64 parity starts from: float32 rounds too early."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from services.ecg.readers.files import record_from_path
from services.ecg.record import Annotations
from services.errors import UnusableInput


@dataclass(frozen=True)
class DigitalRecord:
    """Values as they were stored, and what makes millivolts of them.

    adc: (n_samples, n_leads), as WFDB has them; physical: (n_leads, n_samples) float64 in the
    header's unit, NaN where missing. gain, baseline: (n_leads,). annotations: those within the
    signal, None where the record came without.
    """

    name: str
    sampling_rate_hz: float
    lead_names: tuple[str, ...]
    adc: NDArray[np.int64]
    gain: NDArray[np.float64]
    baseline: NDArray[np.int64]
    physical: NDArray[np.float64]
    annotations: Annotations | None


def read_digital_record(path: Path, *, seconds: float | None = None) -> DigitalRecord:
    """The record at `path`, or its first seconds as if there were no more.

    Quirk 11: the original's own file reader garbles gain, baseline and annotations; as in the
    golden files, wfdb reads here. Raises the errors of `record_from_path`, and UnusableInput for a
    file that is no WFDB record or a length that leaves nothing.
    """
    checked = record_from_path(path)  # every name, size and number in the files is checked there
    stem = path.with_suffix("") if path.suffix == ".hea" else path
    if not stem.with_name(f"{stem.name}.hea").is_file():
        raise UnusableInput(f"{path.name}: the reference reads WFDB records only (its .hea file)")
    n_samples = checked.n_samples
    if seconds is not None:
        n_samples = min(n_samples, round(seconds * checked.sampling_rate_hz))
    if n_samples < 1:
        raise UnusableInput(f"{path.name}: {seconds} seconds hold no sample")
    stored = wfdb.rdrecord(str(stem), sampto=n_samples, physical=False)
    return DigitalRecord(
        name=stem.name,
        sampling_rate_hz=checked.sampling_rate_hz,
        lead_names=tuple(stored.sig_name),
        adc=np.asarray(stored.d_signal, dtype=np.int64),
        gain=np.asarray(stored.adc_gain, dtype=np.float64),
        baseline=np.asarray(stored.baseline, dtype=np.int64),
        physical=np.ascontiguousarray(stored.dac(return_res=64).T, dtype=np.float64),
        annotations=_up_to(checked.annotations, n_samples),
    )


def _up_to(annotations: Annotations | None, n_samples: int) -> Annotations | None:
    if annotations is None:
        return None
    kept = int(np.searchsorted(annotations.sample, n_samples))
    return Annotations(annotations.sample[:kept], annotations.symbol[:kept])
