"""Every format: the same samples come out of it, under any name, and nothing of the patient."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from services.ecg.leads import derived_limb_leads
from services.ecg.readers.base import Limits
from services.ecg.record import EcgRecord
from services.errors import EctopyError, MalformedInput, UnusableInput
from tests import corpus, ecg_files
from tests.services.ecg.readers.reading import read_file
from tests.services.ecg.readers.test_detect import read
from tests.services.ecg.readers.test_mutations import MUTATIONS

ALL = pytest.mark.parametrize("kind", ecg_files.GOOD)
TIMED = ("edf", "bdf", "ishne", "ge-cardiosoft", "dicom", "fhir", "apple-watch")
DERIVING = ("ge-muse", "hl7-aecg", "philips-sierra", "ge-cardiosoft", "scp-ecg", "dicom")


def good(kind: str, folder: Path, *, name: str | None = None) -> EcgRecord:
    usual, make = ecg_files.GOOD[kind]
    return read_file(name or usual, make(), folder)


@ALL
def test_samples_are_millivolts_at_the_rate_of_the_file(kind: str, tmp_path: Path) -> None:
    record = good(kind, tmp_path)
    expected = ecg_files.made_mv()[: 1 if kind == "apple-watch" else 2]
    assert record.format == kind
    assert record.sampling_rate_hz == ecg_files.RATE_HZ
    assert record.lead_names[: len(expected)] == ecg_files.LEADS[: len(expected)]
    assert set(record.units) == {"mV"}
    np.testing.assert_allclose(record.signal[: len(expected)], expected, atol=1e-5)


@ALL
def test_a_format_is_told_by_its_content(kind: str, tmp_path: Path) -> None:
    record = good(kind, tmp_path, name="C:\\fakepath\\something.bin")
    assert record.format == kind
    assert record.name == "something"


@ALL
def test_nothing_of_the_patient_is_kept(kind: str, tmp_path: Path) -> None:
    shown = repr(dataclasses.replace(good(kind, tmp_path), signal=np.zeros((1, 1)), units=("mV",),
                                     lead_names=("I",)))  # fmt: skip
    for word in ("doe", "john", "1950", "male"):
        assert word not in shown.lower()


@pytest.mark.parametrize("kind", TIMED)
def test_the_start_is_kept_where_the_format_has_one(kind: str, tmp_path: Path) -> None:
    assert good(kind, tmp_path).start_time == datetime(2026, 3, 2, 13, 5)  # noqa: DTZ001


@pytest.mark.parametrize("kind", DERIVING)
def test_limb_leads_that_a_device_left_out_are_derived(kind: str, tmp_path: Path) -> None:
    record = good(kind, tmp_path)
    assert record.lead_names == ("I", "II", "III", "aVR", "aVL", "aVF")
    for name, lead in derived_limb_leads(record.signal[0], record.signal[1]).items():
        np.testing.assert_array_equal(record.signal[record.lead_names.index(name)], lead)
    assert record.notes == ("derived from leads I and II: III, aVR, aVL, aVF",)


def test_two_records_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"2 records here \(a\.edf, b\.edf\)"):
        read({"a.edf": ecg_files.edf(), "b.edf": ecg_files.edf(width=3)}, tmp_path)


def test_a_file_beside_the_record_is_named_in_a_note(tmp_path: Path) -> None:
    record = read({"a.edf": ecg_files.edf(), "letter.pdf": b"%PDF-1.7"}, tmp_path)
    assert record.notes == ("not read as a part of the record: letter.pdf",)


def test_a_zip_may_hold_any_format(tmp_path: Path) -> None:
    record = read({"a.zip": corpus.zipped({"x.xml": ecg_files.muse()}, folder="y/")}, tmp_path)
    assert (record.format, record.name) == ("ge-muse", "x")


def test_a_name_decides_where_the_content_does_not(tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match=r"a\.edf was cut off: 3 of 256 header bytes"):
        read({"a.edf": b"123"}, tmp_path)


# what has no checksum and no second place where it says how long it is
FRAGILE: dict[str, Callable[[], bytes]] = {
    **{kind: make for kind, (_, make) in ecg_files.GOOD.items()},
    "edf with beats": lambda: ecg_files.edf_with_beats([b"+0\x14\x14\0+0.4\x14N\x14\0",
                                                        b"+1\x14\x14\0+1.2\x14V\x14\0"]),
    "edf with gaps": lambda: ecg_files.edf_with_beats([b"+0\x14\x14\0", b"+3\x14\x14\0"],
                                                      reserved="EDF+D"),
    "matlab, plain": lambda: ecg_files.matlab(compressed=False),
    "matlab, level 4": lambda: ecg_files.matlab(version="4"),
}  # fmt: skip
LIMITS = Limits(max_values=2_000_000, max_unpacked_bytes=8_000_000)


@pytest.mark.parametrize("kind", FRAGILE)
def test_60_damages_to_a_small_file_give_a_record_or_a_refusal(kind: str, tmp_path: Path) -> None:
    good = FRAGILE[kind]()
    for seed in range(60):
        dice = random.Random(seed)
        data = bytearray(good)
        dice.choice(MUTATIONS)(data, dice)
        outcome = record_or_refusal(ecg_files.GOOD.get(kind, ("a.mat",))[0], bytes(data), tmp_path)
        if isinstance(outcome, EctopyError):
            assert 400 <= outcome.status < 500
            assert str(tmp_path) not in outcome.detail
        else:
            assert outcome.signal.shape == (len(outcome.lead_names), outcome.n_samples)
            assert outcome.signal.size <= LIMITS.max_values
            assert len(outcome.units) == outcome.n_leads


def record_or_refusal(name: str, content: bytes, folder: Path) -> EcgRecord | EctopyError:
    try:
        return read_file(name, content, folder, limits=LIMITS)
    except EctopyError as refusal:
        return refusal
