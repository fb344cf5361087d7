"""Writes the sample record of this folder from the ECG that old SciPy releases carry.

Usage: python make_sample.py scipy/misc/ecg.dat   (out of a SciPy wheel before 1.12)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import wfdb

RECORD_NAME = "208_excerpt"
SAMPLING_RATE_HZ = 360
GAIN_PER_MV = 200.0
ADC_ZERO = 1024
N_SAMPLES = 108_000  # five minutes
FIRST_SAMPLE = 422_820  # in record 208; found by comparison with it

COMMENTS = [
    "Five minutes of lead MLII of record 208, MIT-BIH Arrhythmia Database,",
    f"samples {FIRST_SAMPLE} to {FIRST_SAMPLE + N_SAMPLES - 1}, as distributed with SciPy 1.11",
    "(scipy/misc/ecg.dat). Licence of the database: ODC-By 1.0. Please cite",
    "Moody GB, Mark RG. IEEE Eng in Med and Biol 20(3):45-50 (2001) and",
    "Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet.",
    "Circulation 101(23):e215-e220 (2000).",
]


def main(source: Path, folder: Path) -> None:
    """Reads the `.npz` at `source`, writes `208_excerpt.hea` and `.dat` (format 212)."""
    with np.load(source, allow_pickle=False) as archive:
        samples = archive["ecg"].astype(np.int64)
    if samples.shape != (N_SAMPLES,) or not 0 <= samples.min() <= samples.max() < 2048:
        raise SystemExit(f"{source} is not SciPy's ecg.dat: {samples.shape} samples")
    wfdb.wrsamp(
        RECORD_NAME,
        fs=SAMPLING_RATE_HZ,
        units=["mV"],
        sig_name=["MLII"],
        d_signal=samples[:, np.newaxis],
        fmt=["212"],
        adc_gain=[GAIN_PER_MV],
        baseline=[ADC_ZERO],
        comments=COMMENTS,
        write_dir=str(folder),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
