"""R peaks and waves of one record after step 1, with the class of each wave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import FloatArray, IntArray
from services.ecg.segmentation import WaveIntervals
from services.evaluation.matching import matched_beats
from services.models.ecgbert.guide.reading import peaks_and_waves
from services.models.ecgbert.guide.sentences import NO_LABEL
from services.models.ecgbert.reference.peaks import peaks_of_columns
from services.models.ecgbert.reference.segments import wave_segments, wave_slices
from services.models.ecgbert.spec import SAMPLING_RATE_HZ


@dataclass(frozen=True)
class LeadWaves:
    """The waves of one lead in the order of their tokens; each array (n_waves,).

    column: of the signal. start, end: half-open in the default mode, with the original's border
    (end included) in the reference. kind: P 0, QRS 1, T 2, background 3. beat: index into r_peaks,
    -1 for none. label: class, NO_LABEL for none.
    """

    column: int
    r_peaks: IntArray
    start: IntArray
    end: IntArray
    kind: IntArray
    beat: IntArray
    label: IntArray

    def __len__(self) -> int:
        return len(self.start)

    def intervals(self) -> WaveIntervals:
        """The default mode's waves as the rest of the pipeline has them."""
        return WaveIntervals(self.start, self.end, self.kind, self.beat)

    def beat_labels(self) -> IntArray:
        """(n_beats,) class of each R peak, NO_LABEL for none."""
        labels = np.full(len(self.r_peaks), NO_LABEL, dtype=np.int64)
        labels[self.beat[self.beat >= 0]] = self.label[self.beat >= 0]
        return labels


def default_waves(
    signal: FloatArray, *, rpeaks: str, beats: IntArray, beat_labels: IntArray
) -> tuple[LeadWaves, ...]:
    """Waves of every lead around the R peaks of the record, one set of peaks for all leads.

    signal: (n_leads, n_samples) mV at 360 Hz. beats, beat_labels: annotated samples and classes,
    which a peak takes from the one within 150 ms.
    """
    peaks, waves = peaks_and_waves(signal, method=rpeaks)
    match = matched_beats(beats, peaks, sampling_rate_hz=SAMPLING_RATE_HZ)
    of_peak = np.append(beat_labels, NO_LABEL)[match.of_detected]
    label = np.append(of_peak, NO_LABEL)[waves.beat]
    return tuple(
        LeadWaves(
            column=column,
            r_peaks=peaks,
            start=waves.start,
            end=waves.end,
            kind=waves.kind,
            beat=waves.beat,
            label=label,
        )
        for column in range(len(signal))
    )


def reference_waves(
    signal: NDArray[np.float64], sample_labels: NDArray[np.int8]
) -> tuple[LeadWaves, ...]:
    """The original's: peaks of each lead by itself, a lead without any dropped (quirk 7).

    signal: (n_leads, n_samples) mV. sample_labels: (n_samples,), read at each wave's start.
    """
    return tuple(
        _reference_lead(signal[found.column], found.column, found.peaks, sample_labels)
        for found in peaks_of_columns(signal)
    )


def _reference_lead(
    lead: NDArray[Any], column: int, peaks: IntArray, sample_labels: NDArray[np.int8]
) -> LeadWaves:
    slices = wave_slices(wave_segments(peaks, n_samples=len(lead)), n_samples=len(lead))
    at = np.minimum(slices.start, len(lead) - 1)
    return LeadWaves(
        column=column,
        r_peaks=peaks,
        start=slices.start,
        end=slices.end,
        kind=slices.kind,
        beat=np.full(len(slices), -1),
        label=sample_labels[at].astype(np.int64),
    )
