"""Records to time with: the sample record repeated to any length, on two leads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from services.ecg.readers.files import record_from_path

SAMPLE = Path(__file__).resolve().parents[1] / "examples" / "208_excerpt.hea"
GAIN = 200


def two_leads(minutes: float, *, variant: int = 0) -> np.ndarray:
    """(2, n) int16 ADC values at 360 Hz: real beats over and over, the second lead upside down.

    variant: makes the bytes differ from those of another variant, as each upload must be new.
    """
    lead = np.nan_to_num(record_from_path(SAMPLE).signal[0])
    wanted = round(minutes * 60 * 360)
    repeated = np.resize(lead, wanted)
    adc = np.stack([repeated, 0.3 - 0.6 * repeated]) * GAIN
    adc[0, variant % wanted] += 1 + variant // wanted
    return adc.astype(np.int16)


def wfdb_files(minutes: float, *, variant: int = 0) -> dict[str, bytes]:
    """The same as a WFDB record in format 16."""
    adc = two_leads(minutes, variant=variant)
    name = f"bench{variant}"
    header = (
        f"{name} 2 360 {adc.shape[1]}\n"
        f"{name}.dat 16 {GAIN}/mV 16 0 0 0 0 MLII\n"
        f"{name}.dat 16 {GAIN}/mV 16 0 0 0 0 V1\n"
    )
    return {f"{name}.hea": header.encode(), f"{name}.dat": adc.T.tobytes()}
