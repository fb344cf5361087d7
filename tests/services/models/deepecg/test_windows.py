"""From any record to windows of 12 leads at 250 Hz, and what is refused on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.ecg.leads import STANDARD_12
from services.ecg.record import EcgRecord, FloatArray
from services.errors import UnusableInput
from services.models.deepecg.windows import RiskWindows, WindowSpec, risk_windows
from tests.services.models.deepecg.small import twelve_lead_record, twelve_lead_signal


def windows(record: EcgRecord) -> RiskWindows:
    return risk_windows(record, window=WindowSpec())


def record_of(signal: FloatArray, names: tuple[str, ...] = STANDARD_12) -> EcgRecord:
    return EcgRecord(signal=signal, lead_names=names, sampling_rate_hz=250.0)


def test_ten_seconds_at_250_hz_go_in_as_they_are() -> None:
    record = twelve_lead_record()
    made = windows(record)

    assert made.signal.shape == (1, 12, 2500)
    assert made.signal.dtype == np.float32
    assert (made.signal[0] == record.signal).all()
    assert made.start_s.tolist() == [0.0]
    assert made.notes == ()


def test_leads_are_taken_by_name_whatever_their_order_and_spelling() -> None:
    signal = twelve_lead_signal()
    order = np.random.default_rng(0).permutation(12)
    spelled = {"I": "DI", "aVR": "AVR", "V1": "ECG lead v1", "V6": "C6"}
    names = tuple(spelled.get(STANDARD_12[i], STANDARD_12[i]) for i in order)

    assert (windows(record_of(signal[order], names)).signal[0] == signal).all()


def test_limb_leads_that_are_not_there_follow_from_i_and_ii() -> None:
    signal = twelve_lead_signal()
    there = [i for i, name in enumerate(STANDARD_12) if name not in ("III", "aVR", "aVF")]
    made = windows(record_of(signal[there], tuple(STANDARD_12[i] for i in there)))

    assert np.allclose(made.signal[0], signal, atol=1e-6)
    assert made.notes == ("computed from leads I and II: III, aVR, aVF",)


def test_a_channel_beside_the_ecg_is_not_looked_at() -> None:
    signal = twelve_lead_signal()
    with_pressure = np.concatenate([np.full((1, 2500), 120.0, np.float32), signal])
    record = EcgRecord(
        signal=with_pressure,
        lead_names=("ABP", *STANDARD_12),
        units=("mmHg", *["mV"] * 12),
        sampling_rate_hz=250.0,
    )

    assert (windows(record).signal[0] == signal).all()


@pytest.mark.parametrize("rate", [100.0, 257.5, 360.0, 500.0, 1000.0])
def test_any_rate_is_brought_to_250_hz_without_moving_a_beat(rate: float) -> None:
    made = windows(twelve_lead_record(sampling_rate_hz=rate))
    direct = twelve_lead_signal()

    assert made.signal.shape == (1, 12, 2500)
    likeness = np.corrcoef(made.signal[0, 1], direct[1])[0, 1]
    assert likeness > (0.9 if rate == 100.0 else 0.97)


def test_what_250_hz_cannot_hold_does_not_fold_back() -> None:
    time_s = np.arange(5000) / 500.0
    signal = twelve_lead_signal(sampling_rate_hz=500.0)
    noisy = signal + np.float32(0.5) * np.sin(2 * np.pi * 210.0 * time_s).astype(np.float32)
    clean, made = (
        windows(EcgRecord(signal=s, lead_names=STANDARD_12, sampling_rate_hz=500.0)).signal[0, 1]
        for s in (signal, noisy)
    )

    assert np.abs(np.fft.rfft(made - clean))[400] < 0.002 * 0.5 * 1250  # 210 Hz would fold to 40 Hz
    assert np.abs(made - clean)[50:-50].max() < 0.005


def test_longer_records_give_a_window_every_ten_seconds_and_say_what_is_left() -> None:
    made = windows(twelve_lead_record(duration_s=34.5))

    assert made.signal.shape == (3, 12, 2500)
    assert made.start_s.tolist() == [0.0, 10.0, 20.0]
    assert made.notes == ("the last 4.5 s, less than a window, were not read",)


def with_lead(signal: FloatArray, lead: str, values: object, part: slice) -> FloatArray:
    changed = signal.copy()
    changed[STANDARD_12.index(lead), part] = values
    return changed


ALL = slice(None)


@pytest.mark.parametrize(
    ("signal", "told"),
    [
        (twelve_lead_signal()[:, :2475], r"lasts 9\.9 s; the risk needs 10 s"),
        (with_lead(twelve_lead_signal(), "V3", 0.0, ALL), "lead V3 is flat from 0 s to 10 s"),
        (with_lead(twelve_lead_signal(), "aVL", 0.4, ALL), "lead aVL is flat"),
        (
            with_lead(twelve_lead_signal(duration_s=20.0), "V1", 0.1, slice(2500, 5000)),
            "lead V1 is flat from 10 s to 20 s",
        ),
        (with_lead(twelve_lead_signal(), "V5", np.nan, slice(250, 251)), r"lead V5 .* at 1\.000 s"),
        (with_lead(twelve_lead_signal(), "II", np.inf, slice(0, 1)), "lead II has no value"),
        (twelve_lead_signal() * 1000, "microvolts or raw counts"),
        (twelve_lead_signal() * 205, "microvolts or raw counts"),
        (twelve_lead_signal() / 1000, "volts read as millivolts"),
        (
            with_lead(twelve_lead_signal(), "V2", twelve_lead_signal()[7] * 1000, ALL),
            "mV in lead V2",
        ),
    ],
)
def test_what_gives_no_meaningful_risk_is_refused_by_name(signal: FloatArray, told: str) -> None:
    with pytest.raises(UnusableInput, match=told):
        windows(record_of(signal))


def test_a_missing_chest_lead_is_named_with_what_is_there() -> None:
    record = record_of(twelve_lead_signal()[:11], STANDARD_12[:11])

    with pytest.raises(UnusableInput, match=r"lacks the leads V6; it has I, II.*expected I, II"):
        windows(record)


def test_two_leads_or_strange_names_are_not_twelve() -> None:
    with pytest.raises(UnusableInput, match="lacks the leads I, III, aVR"):
        windows(record_of(twelve_lead_signal()[1:3], ("II", "V1")))
    with pytest.raises(UnusableInput, match="it has channel 1, channel 2"):
        windows(record_of(twelve_lead_signal(), tuple(f"channel {i}" for i in range(1, 13))))


def test_a_lead_that_is_no_voltage_is_refused() -> None:
    record = twelve_lead_record()
    units = ("mV",) * 11 + ("adu",)

    with pytest.raises(UnusableInput, match="lead V6 is in 'adu'"):
        windows(replace(record, units=units))


def test_three_hours_are_refused_before_anything_is_computed() -> None:
    long = np.broadcast_to(np.float32(0), (12, 3 * 3600 * 250))

    with pytest.raises(UnusableInput, match=r"lasts 10800 s.*at most 3600 s"):
        windows(record_of(long))


def test_offset_and_drift_are_no_implausible_amplitude() -> None:
    drift = np.linspace(-8.0, 8.0, 2500, dtype=np.float32)
    made = windows(record_of(twelve_lead_signal() + 100.0 + drift))

    assert made.signal.shape == (1, 12, 2500)


def test_the_scale_of_a_version_is_applied_after_the_check() -> None:
    record = twelve_lead_record()
    made = risk_windows(record, window=WindowSpec(scale=1000.0))

    assert np.allclose(made.signal[0], record.signal * 1000)
