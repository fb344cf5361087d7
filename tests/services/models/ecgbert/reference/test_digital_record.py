"""A record as the original reads it, from the sample that comes with Ectopy."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from services.errors import NotFound, UnusableInput
from services.models.ecgbert.reference.digital_record import read_digital_record

SAMPLE = Path(__file__).resolve().parents[5] / "examples" / "208_excerpt"


def test_millivolts_are_the_stored_numbers_less_the_baseline_by_the_gain() -> None:
    record = read_digital_record(SAMPLE, seconds=10)
    assert record.adc.shape == (3600, 1)
    assert record.physical.dtype == np.float64
    np.testing.assert_array_equal(record.physical, ((record.adc - record.baseline) / record.gain).T)


def test_the_whole_record_is_read_without_a_limit_and_with_one_beyond_its_end() -> None:
    whole = read_digital_record(SAMPLE.with_suffix(".hea"))
    assert len(whole.adc) == 108_000
    assert len(read_digital_record(SAMPLE, seconds=1e6).adc) == 108_000


def test_annotations_behind_the_first_seconds_are_left_out(tmp_path: Path) -> None:
    import wfdb

    for ending in (".hea", ".dat"):
        shutil.copy(SAMPLE.with_suffix(ending), tmp_path)
    wfdb.wrann(
        SAMPLE.name,
        "atr",
        np.array([10, 3599, 3600, 50_000]),
        list("NVNV"),
        write_dir=str(tmp_path),
    )
    record = read_digital_record(tmp_path / SAMPLE.name, seconds=10)
    assert record.annotations is not None
    assert record.annotations.sample.tolist() == [10, 3599]
    assert record.annotations.symbol == ("N", "V")


def test_a_record_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_digital_record(tmp_path / "nothing")


def test_a_length_that_holds_no_sample_is_refused() -> None:
    with pytest.raises(UnusableInput, match="hold no sample"):
        read_digital_record(SAMPLE, seconds=0.001)
