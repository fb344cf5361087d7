import numpy as np
import pytest

from services.ecg.quality import (
    LeadFault,
    lead_faults,
    quality_notes,
    readable_seconds,
    require_usable_lead,
    unreadable_beats,
    unreadable_stretches,
    usable_leads,
)
from services.ecg.record import EcgRecord, FloatArray
from services.errors import UnusableInput
from tests.signals import made_ecg


def fault_of(lead: FloatArray) -> str:
    faults = lead_faults(lead[None], sampling_rate_hz=360.0)
    return faults[0].reason if faults else ""


def test_a_good_lead_has_no_fault() -> None:
    ecg, _ = made_ecg()
    assert lead_faults(ecg, sampling_rate_hz=360.0) == ()


def test_each_fault_is_named() -> None:
    lead = made_ecg()[0][0]
    mostly_gone = np.full_like(lead, np.nan)
    mostly_gone[:20] = lead[:20]
    assert "flat: every sample is 0.3 mV" in fault_of(np.full_like(lead, 0.3))
    assert "all are missing" in fault_of(np.full_like(lead, np.nan))
    assert "clipped" in fault_of(np.clip(lead, 0.1, 0.15))
    assert "too short: 0.5 s" in fault_of(lead[:180])
    assert "% of its samples are there" in fault_of(mostly_gone)


def test_the_faulty_lead_is_told_from_the_good_one() -> None:
    ecg, _ = made_ecg()
    ecg[0] = 1.0
    assert [fault.lead for fault in lead_faults(ecg, sampling_rate_hz=360.0)] == [0]
    record = EcgRecord(ecg, ("I", "II"), 360.0)
    assert usable_leads(record) == (1,)
    assert require_usable_lead(record) == (1,)


def test_a_blood_pressure_is_not_a_usable_lead() -> None:
    ecg, _ = made_ecg()
    record = EcgRecord(ecg, ("ABP", "II"), 360.0, units=("mmHg", "mV"))
    assert usable_leads(record) == (1,)


def test_a_record_without_a_usable_lead_is_refused_with_the_fault_of_each() -> None:
    signal = np.stack([np.full(4000, np.nan), np.zeros(4000)]).astype(np.float32)
    with pytest.raises(UnusableInput) as refusal:
        require_usable_lead(EcgRecord(signal, ("I", "II"), 360.0))
    assert "lead I holds no sample" in refusal.value.detail
    assert "lead II is flat" in refusal.value.detail


def test_a_record_without_a_voltage_is_refused_with_its_units() -> None:
    record = EcgRecord(np.ones((1, 4000), np.float32), ("ABP",), 360.0, units=("mmHg",))
    with pytest.raises(UnusableInput, match="ABP in mmHg"):
        require_usable_lead(record)


def test_a_clean_record_is_readable_throughout() -> None:
    ecg, _ = made_ecg(duration_s=60.5)
    readable = readable_seconds(ecg, sampling_rate_hz=360.0)
    assert len(readable) == 61
    assert readable.all()


def test_seconds_spoilt_in_all_leads_cannot_be_read() -> None:
    ecg, _ = made_ecg(duration_s=120.0)
    noise = np.random.default_rng(0).standard_normal((2, 5 * 360))
    ecg[:, 20 * 360 : 25 * 360] += (1.5 * noise).astype(np.float32)
    ecg[:, 50 * 360 : 53 * 360] = np.nan
    ecg[:, 70 * 360 : 72 * 360] = 0.2
    ecg[:, 90 * 360 : 91 * 360] += 20 * np.hanning(360).astype(np.float32)
    stretches = unreadable_stretches(readable_seconds(ecg, sampling_rate_hz=360.0))
    assert stretches == ((20, 25), (50, 53), (70, 72), (90, 91))


def test_one_good_lead_is_enough() -> None:
    ecg, _ = made_ecg(duration_s=60.0)
    ecg[0, 3600:7200] = np.nan
    assert readable_seconds(ecg, sampling_rate_hz=360.0).all()


@pytest.mark.parametrize("rate_hz", [100.0, 257.0, 1000.0])
def test_seconds_are_seconds_at_every_rate(rate_hz: float) -> None:
    ecg, _ = made_ecg(duration_s=40.0, sampling_rate_hz=rate_hz)
    ecg[:, round(10 * rate_hz) : round(14 * rate_hz)] = np.nan
    readable = readable_seconds(ecg, sampling_rate_hz=rate_hz)
    assert unreadable_stretches(readable) == ((10, 14),)
    assert len(readable) == 40


def test_a_fast_wide_rhythm_is_not_mistaken_for_noise() -> None:
    time_s = np.arange(60 * 360) / 360
    flutter = np.sin(2 * np.pi * 4.5 * time_s)[None].astype(np.float32)
    assert readable_seconds(flutter, sampling_rate_hz=360.0).all()


def test_beats_are_marked_by_the_second_that_they_lie_in() -> None:
    readable = np.array([True, False, True])
    marked = unreadable_beats(
        np.array([0, 359, 360, 719, 720, 1200]), readable, sampling_rate_hz=360.0
    )
    assert marked.tolist() == [False, False, True, True, False, False]


def test_notes_say_what_a_person_should_know() -> None:
    readable = np.ones(100, dtype=bool)
    readable[10:14] = False
    notes = quality_notes(("I", "II"), (LeadFault(0, "is flat"),), readable)
    assert notes == ("lead I is flat", "4 of 100 s cannot be read: 10-14 s")
    assert quality_notes(("I",), (), np.ones(5, dtype=bool)) == ()
