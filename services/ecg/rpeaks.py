"""Where the R peaks are: our own detector over all leads, or one of NeuroKit2's on one lead.

A long record is read in overlapping pieces of half an hour, so memory stays bounded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from services.ecg.gaps import bridged, gap_mask
from services.ecg.pieces import pieces
from services.ecg.qrs_detector import qrs_positions
from services.ecg.qrs_location import located_r_peaks
from services.ecg.record import FloatArray, IntArray

OWN_METHOD = "ectopy"
NEUROKIT_METHODS = (
    "hamilton2002",
    "pantompkins1985",
    "elgendi2010",
    "kalidas2017",
    "neurokit",
)
METHODS = (OWN_METHOD, *NEUROKIT_METHODS)

# pieces of a long record, and what each needs to know of its neighbours: the beat-height medians of
# the detector look 11 s and 12 beats to either side
PIECE_S = 1800.0
MARGIN_S = 60.0
# two detections of one beat, one from either side of a cut, lie closer than any two beats
SAME_BEAT_S = 0.15
SHORTEST_S = 1.0
# how far before and after a mark of NeuroKit2 the R peak may lie
MARKS_REACH_S = (0.15, 0.15)

PieceDetector = Callable[[FloatArray], IntArray]


def r_peaks(
    signal: FloatArray,
    *,
    sampling_rate_hz: float,
    method: str = OWN_METHOD,
    lead: int = 0,
) -> IntArray:
    """Sample indices of the R peaks: (n_beats,) ascending int64, empty where there are none.

    signal: (n_leads, n_samples) float32 mV, raw or filtered, NaN where missing; 100 Hz or more.
    method: one of METHODS. "ectopy" reads all leads together and weighs each by its quality; the
    others are NeuroKit2's and read the one lead of that index.
    Raises ValueError for a method that is not in METHODS.
    """
    if method not in METHODS:
        raise ValueError(f"no R peak method {method!r}; there are {', '.join(METHODS)}")
    if signal.shape[0] == 0 or signal.shape[-1] < SHORTEST_S * sampling_rate_hz:
        return np.empty(0, dtype=np.int64)

    def detect(piece: FloatArray) -> IntArray:
        if method == OWN_METHOD:
            return _own_peaks(piece, sampling_rate_hz)
        marks = neurokit_marks(piece[lead], sampling_rate_hz=sampling_rate_hz, method=method)
        return located_r_peaks(
            piece, marks, lead=lead, sampling_rate_hz=sampling_rate_hz, reach_s=MARKS_REACH_S
        )

    return _in_pieces(signal, sampling_rate_hz, detect)


def neurokit_marks(lead: FloatArray, *, sampling_rate_hz: float, method: str) -> IntArray:
    """What NeuroKit2's detector itself returns for one lead, (n_samples,) without gaps.

    Most of its detectors mark a filtered signal: 60 ms after the R peak, or up to 140 ms before.
    """
    # imported here: it takes seconds and brings matplotlib, and the default never needs it
    neurokit2 = importlib.import_module("neurokit2")
    rate_hz = round(sampling_rate_hz)
    cleaned = neurokit2.ecg_clean(lead.astype(np.float64), sampling_rate=rate_hz, method=method)
    _, info = neurokit2.ecg_peaks(
        cleaned, sampling_rate=rate_hz, method=method, correct_artifacts=False
    )
    return np.sort(np.asarray(info["ECG_R_Peaks"], dtype=np.int64))


def _own_peaks(signal: FloatArray, sampling_rate_hz: float) -> IntArray:
    found = qrs_positions(signal, sampling_rate_hz=sampling_rate_hz)
    return located_r_peaks(
        signal, found.position, lead=found.clearest_lead, sampling_rate_hz=sampling_rate_hz
    )


def _in_pieces(signal: FloatArray, sampling_rate_hz: float, detect: PieceDetector) -> IntArray:
    size, margin = round(PIECE_S * sampling_rate_hz), round(MARGIN_S * sampling_rate_hz)
    peaks = np.empty(0, dtype=np.int64)
    for piece in pieces(signal.shape[-1], size=size, margin=margin):
        part = np.asarray(signal[:, piece.first : piece.last], dtype=np.float32)
        found = detect(bridged(part, gap_mask(part))) + piece.first
        own = found[(found >= piece.start) & (found < piece.end)]
        peaks = _joined(peaks, own, sampling_rate_hz)
    return peaks


def _joined(before: IntArray, after: IntArray, sampling_rate_hz: float) -> IntArray:
    """Peaks of two neighbouring pieces, a beat on the cut counted once."""
    if len(before) and len(after) and after[0] - before[-1] < SAME_BEAT_S * sampling_rate_hz:
        after = after[1:]
    return np.concatenate([before, after])
