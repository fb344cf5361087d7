"""Which leads and which seconds of a record can be read as an ECG, and why the others cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from services.ecg.envelope import band_envelopes, thinned
from services.ecg.gaps import bridged, gap_mask
from services.ecg.pieces import pieces
from services.ecg.record import EcgRecord, FloatArray, IntArray
from services.errors import UnusableInput

BoolArray = NDArray[np.bool_]
Value = TypeVar("Value", bound=np.generic)

SHORTEST_S = 1.0
# a lead is unusable as a whole when less than this much of it is there
SMALLEST_PRESENT = 0.02
# clipped: this share of a second, or of a lead, sits on the lead's own lowest or highest value
CLIPPED_SHARE = 0.2
CLIPPED_LEAD_SHARE = 0.5
# less than this from the lowest to the highest sample is flat: below one step of any ECG recorder
FLAT_MV = 1e-3

# noise: what lies between the beats above the QRS band, against the usual height of the QRS
# complexes; muscle noise is wide-band, flutter and tachycardia are not (MIT-BIH DS1: in seconds
# without a noise mark 99 % of the better leads stay below 0.15)
QRS_BAND_HZ = (8.0, 20.0)
NOISE_BAND_HZ = (25.0, 45.0)
SMOOTHED_S = 0.12
LARGEST_NOISE = 0.22
# movement: a second that spans this many times the usual span of a second
LARGEST_SPAN = 5.0
# the usual height and span: medians over this many seconds
USUAL_S = 31
PIECE_S = 1800
MARGIN_S = 60


@dataclass(frozen=True)
class LeadFault:
    """Why a lead cannot be used.

    lead: its row in the signal; reason: what is wrong, to follow "lead II".
    """

    lead: int
    reason: str


def lead_faults(signal: FloatArray, *, sampling_rate_hz: float) -> tuple[LeadFault, ...]:
    """The leads that are unusable as a whole, with the reason: missing, flat, clipped or too short.

    signal: (n_leads, n_samples) mV, NaN where missing; may be a memory map.
    """
    reasons = (_lead_fault(lead, sampling_rate_hz) for lead in signal)
    return tuple(LeadFault(i, reason) for i, reason in enumerate(reasons) if reason)


def usable_leads(record: EcgRecord) -> tuple[int, ...]:
    """Rows of the ECG leads that can be used."""
    rows = record.ecg_lead_indices
    faults = lead_faults(record.signal[list(rows)], sampling_rate_hz=record.sampling_rate_hz)
    faulty = {rows[fault.lead] for fault in faults}
    return tuple(row for row in rows if row not in faulty)


def require_usable_lead(record: EcgRecord) -> tuple[int, ...]:
    """Rows of the usable ECG leads; UnusableInput naming each lead's fault if there is none."""
    usable = usable_leads(record)
    if usable:
        return usable
    rows = record.ecg_lead_indices
    if not rows:
        units = ", ".join(
            f"{name} in {unit}" for name, unit in zip(record.lead_names, record.units, strict=True)
        )
        raise UnusableInput(f"no lead is an ECG in mV; found {units or 'no leads'}")
    faults = lead_faults(record.signal[list(rows)], sampling_rate_hz=record.sampling_rate_hz)
    found = "; ".join(f"lead {record.lead_names[rows[f.lead]]} {f.reason}" for f in faults)
    raise UnusableInput(f"no ECG lead is usable: {found}")


def readable_seconds(signal: FloatArray, *, sampling_rate_hz: float) -> BoolArray:
    """Whether at least one lead can be read, second by second: (ceil(duration_s),) bool.

    signal: (n_leads, n_samples) mV, NaN where missing. In a second that can be read less than half
    is missing, it is not flat or clipped, not full of muscle noise and not swept away by movement.
    """
    n_seconds = int(np.ceil(signal.shape[-1] / sampling_rate_hz))
    readable = np.zeros(n_seconds, dtype=bool)
    for piece in pieces(n_seconds, size=PIECE_S, margin=MARGIN_S):
        edges = np.rint(np.array([piece.first, piece.last]) * sampling_rate_hz).astype(int)
        part = np.asarray(signal[:, edges[0] : edges[1]], dtype=np.float32)
        good = _readable_by_lead(part, sampling_rate_hz, piece.last - piece.first).any(axis=0)
        own = slice(piece.start - piece.first, piece.end - piece.first)
        readable[piece.start : piece.end] = np.asarray(good)[own]
    return readable


def unreadable_beats(
    r_peaks: IntArray, readable: BoolArray, *, sampling_rate_hz: float
) -> BoolArray:
    """Which beats lie in seconds that cannot be read: (n_beats,) bool.

    r_peaks: (n_beats,) sample indices; readable: as from `readable_seconds`.
    """
    if len(readable) == 0:
        return np.zeros(len(r_peaks), dtype=bool)
    second = (np.asarray(r_peaks) / sampling_rate_hz).astype(np.int64)
    return np.asarray(~readable[np.clip(second, 0, len(readable) - 1)])


def unreadable_stretches(readable: BoolArray) -> tuple[tuple[int, int], ...]:
    """The unreadable seconds as stretches [start_s, end_s)."""
    changes = np.flatnonzero(np.diff(np.concatenate([[True], readable, [True]])))
    return tuple((int(a), int(b)) for a, b in changes.reshape(-1, 2))


def quality_notes(
    lead_names: Sequence[str], faults: Sequence[LeadFault], readable: BoolArray
) -> tuple[str, ...]:
    """What a person should know of a record's quality, a sentence each."""
    notes = [f"lead {lead_names[fault.lead]} {fault.reason}" for fault in faults]
    stretches = unreadable_stretches(readable)
    if stretches:
        total = sum(end - start for start, end in stretches)
        shown = ", ".join(f"{start}-{end} s" for start, end in stretches[:10])
        more = f" and {len(stretches) - 10} more" if len(stretches) > 10 else ""
        notes.append(f"{total} of {len(readable)} s cannot be read: {shown}{more}")
    return tuple(notes)


def _lead_fault(lead: FloatArray, sampling_rate_hz: float) -> str:
    if len(lead) < SHORTEST_S * sampling_rate_hz:
        return f"is too short: {len(lead) / sampling_rate_hz:.3g} s, {SHORTEST_S:g} s are needed"
    lowest, highest = np.fmin.reduce(lead), np.fmax.reduce(lead)
    if np.isnan(lowest):
        return "holds no sample, all are missing"
    if highest - lowest < FLAT_MV:
        return f"is flat: every sample is {lowest:.4g} mV"
    present = np.count_nonzero(~np.isnan(lead))
    if present < SMALLEST_PRESENT * len(lead):
        return f"is missing: {100 * present / len(lead):.2g} % of its samples are there"
    clipped = np.count_nonzero((lead == lowest) | (lead == highest)) / present
    if clipped > CLIPPED_LEAD_SHARE:
        return f"is clipped: {100 * clipped:.0f} % of it is at {lowest:.4g} or {highest:.4g} mV"
    return ""


def _readable_by_lead(signal: FloatArray, sampling_rate_hz: float, n_seconds: int) -> BoolArray:
    """(n_leads, n_seconds) bool."""
    gaps = gap_mask(signal)
    filled = bridged(signal, gaps)
    quiet = _quiet(filled, sampling_rate_hz, n_seconds)
    missing = _share(np.zeros(signal.shape, bool) if gaps is None else gaps, sampling_rate_hz)
    extreme = np.stack([filled.min(axis=-1), filled.max(axis=-1)])[:, :, None]
    clipped = _share((filled == extreme[0]) | (filled == extreme[1]), sampling_rate_hz)
    return quiet & (_fit(missing, n_seconds) < 0.5) & (_fit(clipped, n_seconds) < CLIPPED_SHARE)


def _quiet(signal: FloatArray, sampling_rate_hz: float, n_seconds: int) -> BoolArray:
    """Seconds that are neither flat nor noisy nor swept away."""
    slow, step = thinned(signal, sampling_rate_hz=sampling_rate_hz)
    rate_hz = sampling_rate_hz / step
    rows = _second_edges(slow.shape[-1], rate_hz)
    span = np.maximum.reduceat(slow, rows, axis=-1) - np.minimum.reduceat(slow, rows, axis=-1)
    qrs = band_envelopes(slow, band_hz=QRS_BAND_HZ, smoothed_s=SMOOTHED_S, sampling_rate_hz=rate_hz)
    noise = band_envelopes(
        slow, band_hz=NOISE_BAND_HZ, smoothed_s=SMOOTHED_S, sampling_rate_hz=rate_hz
    )
    height = _usual(np.maximum.reduceat(qrs, rows, axis=-1))
    between = np.add.reduceat(noise, rows, axis=-1) / np.diff(np.append(rows, noise.shape[-1]))
    good = (span >= FLAT_MV) & (span <= LARGEST_SPAN * _usual(span))
    return _fit(good & (between <= LARGEST_NOISE * height), n_seconds)


def _usual(values: FloatArray) -> FloatArray:
    return np.asarray(scipy.ndimage.median_filter(values, size=(1, USUAL_S), mode="reflect"))


def _second_edges(n_samples: int, rate_hz: float) -> IntArray:
    n_seconds = max(1, int(np.ceil(n_samples / rate_hz)))
    edges = np.rint(np.arange(n_seconds) * rate_hz).astype(np.int64)
    return np.asarray(edges[edges < n_samples])


def _share(mask: BoolArray, rate_hz: float) -> NDArray[np.float64]:
    """The share of each second that is marked."""
    rows = _second_edges(mask.shape[-1], rate_hz)
    counts = np.add.reduceat(mask, rows, axis=-1, dtype=np.int64)
    return np.asarray(counts / np.diff(np.append(rows, mask.shape[-1])))


def _fit(values: NDArray[Value], n_seconds: int) -> NDArray[Value]:
    """The values of the first seconds; the last one is repeated where rounding left it out."""
    at = np.minimum(np.arange(n_seconds), values.shape[-1] - 1)
    return values[:, at]
