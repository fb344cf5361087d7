"""R peaks as the original finds them: NeuroKit2's hamilton2002 on each lead by itself."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import IntArray
from services.models.ecgbert.reference.spec import R_PEAK_METHOD, SEGMENTATION_RATE_HZ


@dataclass(frozen=True)
class ColumnPeaks:
    """R peaks, (n_beats,) sample indices, and the column of the signal that they are applied to."""

    column: int
    peaks: IntArray


def peaks_of_columns(signal: NDArray[np.float64]) -> list[ColumnPeaks]:
    """One entry for each lead that has peaks. signal: (n_leads, n_samples) mV, preprocessed.

    Quirk 5: detection takes 360 Hz for granted, whatever the record's rate is.
    Quirk 6: each lead by itself, on the filtered signal, without any correction of artefacts.
    Quirk 7: a lead without peaks is dropped from the list, so that those behind it are applied to
    the column before their own.
    """
    found = [lead_peaks(lead) for lead in signal]
    kept = [peaks for peaks in found if len(peaks)]
    return [ColumnPeaks(column, peaks) for column, peaks in enumerate(kept)]


def lead_peaks(lead: NDArray[np.float64]) -> IntArray:
    """(n_beats,) int64 ascending sample indices. lead: (n_samples,) mV."""
    # imported here: it takes seconds and brings matplotlib along
    neurokit2 = importlib.import_module("neurokit2")
    cleaned = neurokit2.ecg_clean(lead, sampling_rate=SEGMENTATION_RATE_HZ, method=R_PEAK_METHOD)
    _, info = neurokit2.ecg_peaks(
        cleaned, sampling_rate=SEGMENTATION_RATE_HZ, method=R_PEAK_METHOD, correct_artifacts=False
    )
    return np.asarray(info["ECG_R_Peaks"], dtype=np.int64)
