"""A recording of any rate and lead order -> windows of 12 leads as the network learned them.

Nothing is filtered or normalised: the network does that itself, and relative gain between leads is
information. What would give a finite but meaningless risk (a flat or missing lead, missing
samples, other units) is refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.leads import derived_limb_leads, lead_indices, missing_leads
from services.ecg.quality import FLAT_MV
from services.ecg.record import MILLIVOLT, EcgRecord, FloatArray
from services.ecg.resampling import resampled
from services.errors import UnusableInput
from services.models.deepecg import spec


@dataclass(frozen=True)
class WindowSpec:
    """What one model version was trained on; kept in its card.

    scale: what millivolts are multiplied by.
    """

    sampling_rate_hz: float = spec.SAMPLING_RATE_HZ
    window_s: float = spec.WINDOW_S
    scale: float = 1.0

    @property
    def samples(self) -> int:
        """Samples of one window."""
        return round(self.window_s * self.sampling_rate_hz)

    def as_card(self) -> dict[str, Any]:
        """For card.json."""
        return asdict(self)


@dataclass(frozen=True)
class RiskWindows:
    """signal: (n_windows, 12, samples) float32; start_s: (n_windows,); notes for a person."""

    signal: FloatArray
    start_s: NDArray[np.float64]
    notes: tuple[str, ...]


def risk_windows(record: EcgRecord, *, window: WindowSpec) -> RiskWindows:
    """All whole windows of a record, one behind the other from its first sample.

    Raises UnusableInput where it is too short or too long, or naming the lead that is missing, in
    another unit, flat, incomplete, or of an amplitude that no ECG in millivolts has.
    """
    _require_duration(record, window)
    signal, notes = twelve_leads(record)
    _require_complete(signal, record.sampling_rate_hz)
    signal = resampled(signal, from_hz=record.sampling_rate_hz, to_hz=window.sampling_rate_hz)
    count = signal.shape[1] // window.samples
    used = signal[:, : count * window.samples]
    cut = used.reshape(len(spec.LEADS), count, window.samples).transpose(1, 0, 2)
    require_plausible(cut, window=window)
    rest_s = record.duration_s - count * window.window_s
    if rest_s > 0.5 / record.sampling_rate_hz:
        notes += (f"the last {rest_s:.3g} s, less than a window, were not read",)
    start_s = np.arange(count, dtype=np.float64) * window.window_s
    return RiskWindows(np.ascontiguousarray(cut * np.float32(window.scale)), start_s, notes)


def twelve_leads(record: EcgRecord) -> tuple[FloatArray, tuple[str, ...]]:
    """(12, n_samples) mV in the order of spec.LEADS, at the record's own rate, and notes.

    Limb leads that are not there follow from I and II. Raises UnusableInput for what is missing.
    """
    places = lead_indices(record.lead_names)
    for name, place in places.items():
        if record.units[place] != MILLIVOLT:
            raise UnusableInput(
                f"lead {name} is in {record.units[place]!r}; expected a voltage, read as millivolts"
            )
    if missing := missing_leads(record.lead_names):
        raise UnusableInput(
            f"the record lacks the leads {', '.join(missing)}; it has "
            f"{', '.join(record.lead_names)}; expected {', '.join(spec.LEADS)}"
        )
    leads = {name: np.asarray(record.signal[place], np.float32) for name, place in places.items()}
    derived = [name for name in spec.LEADS if name not in leads]
    if derived:
        leads |= {
            name: lead
            for name, lead in derived_limb_leads(leads["I"], leads["II"]).items()
            if name in derived
        }
    notes = (f"computed from leads I and II: {', '.join(derived)}",) if derived else ()
    return np.stack([leads[name] for name in spec.LEADS]), notes


def require_plausible(windows: FloatArray, *, window: WindowSpec) -> None:
    """Raises UnusableInput naming a lead that is flat, or an amplitude that is not in millivolts.

    windows: (n_windows, 12, samples) mV.
    """
    span = windows.max(axis=2) - windows.min(axis=2)  # (n_windows, 12)
    _refuse_flat(span == 0.0, window)  # before the units: volts are small, but not constant
    usual = _usual_range(windows)
    middle = np.median(usual, axis=1)
    if middle.min() < spec.SMALLEST_USUAL_RANGE_MV:
        _refuse_amplitude(f"{middle.min():.2g} mV in the median lead", "volts read as millivolts?")
    if middle.max() > spec.LARGEST_USUAL_RANGE_MV:
        _refuse_amplitude(
            f"{middle.max():.4g} mV in the median lead", "microvolts or raw counts as millivolts?"
        )
    if usual.max() > spec.LARGEST_LEAD_RANGE_MV:
        lead = int(usual.max(axis=0).argmax())
        _refuse_amplitude(f"{usual.max():.4g} mV in lead {spec.LEADS[lead]}", "another unit there?")
    _refuse_flat(span < FLAT_MV, window)


def _usual_range(windows: FloatArray) -> NDArray[np.float64]:
    """Range of the middle 99 % of each lead's samples, (n_windows, 12)."""
    beyond = (1 - spec.RANGE_SHARE) / 2
    low, high = np.quantile(windows, (beyond, 1 - beyond), axis=2)
    return np.asarray(high - low, dtype=np.float64)


def _refuse_flat(flat: NDArray[np.bool_], window: WindowSpec) -> None:
    if not flat.any():
        return
    place, lead = np.argwhere(flat)[0]
    raise UnusableInput(
        f"lead {spec.LEADS[lead]} is flat from {place * window.window_s:g} s to "
        f"{(place + 1) * window.window_s:g} s; the risk needs a signal in all 12 leads"
    )


def _refuse_amplitude(found: str, guess: str) -> None:
    raise UnusableInput(
        f"the signal spans {found} over 10 s; an ECG in millivolts spans "
        f"{spec.SMALLEST_USUAL_RANGE_MV:g} to {spec.LARGEST_USUAL_RANGE_MV:g} mV ({guess})"
    )


def _require_duration(record: EcgRecord, window: WindowSpec) -> None:
    if record.duration_s < window.window_s:
        raise UnusableInput(
            f"the record lasts {record.duration_s:.4g} s; the risk needs {window.window_s:g} s"
        )
    if record.duration_s > spec.MAX_DURATION_S:
        raise UnusableInput(
            f"the record lasts {record.duration_s:.0f} s; the risk is read from resting ECGs of "
            f"{window.window_s:g} s, at most {spec.MAX_DURATION_S:g} s of them: send a part"
        )


def _require_complete(signal: FloatArray, sampling_rate_hz: float) -> None:
    if np.isfinite(signal).all():
        return
    lead, sample = np.argwhere(~np.isfinite(signal))[0]
    raise UnusableInput(
        f"lead {spec.LEADS[lead]} has no value at {sample / sampling_rate_hz:.3f} s (sample "
        f"{sample}); the risk needs every sample of all 12 leads"
    )
