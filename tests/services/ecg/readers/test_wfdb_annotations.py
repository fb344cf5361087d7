"""Annotation files: what rdann reads in them, and what damage is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from services.ecg.readers.wfdb_annotations import SYMBOL_OF_CODE, parsed_annotations
from services.errors import MalformedInput

SAMPLES = np.array([5, 400, 1400, 1_000_000, 1_000_001, 3_000_000_000])
SYMBOLS = ["N", "V", "+", "A", "~", "/"]
NOTES = ["", "", "(AFIB", "", "even", "odd"]


def written(folder: Path, **fields: object) -> bytes:
    wfdb.wrann("r", "atr", SAMPLES, symbol=SYMBOLS, write_dir=str(folder), **fields)
    return (folder / "r.atr").read_bytes()


def test_samples_symbols_and_notes_come_back(tmp_path: Path) -> None:
    found = parsed_annotations("r.atr", written(tmp_path, aux_note=NOTES))
    assert found.sample == SAMPLES.tolist()
    assert found.symbol == SYMBOLS
    assert found.note == NOTES
    assert found.rate_hz is None


def test_channel_number_and_subtype_are_passed_over(tmp_path: Path) -> None:
    ones = np.ones(len(SAMPLES), dtype=int)
    content = written(tmp_path, chan=ones, num=2 * ones, subtype=3 * ones, aux_note=NOTES)
    assert parsed_annotations("r.atr", content).note == NOTES


def test_the_symbols_are_those_of_the_library() -> None:
    table = wfdb.io.annotation.ann_labels
    assert {a.label_store: a.symbol for a in table if a.label_store} == dict(SYMBOL_OF_CODE)


def test_the_clock_of_the_file_is_brought_to_that_of_the_signal(tmp_path: Path) -> None:
    found = parsed_annotations("r.atr", written(tmp_path, fs=500))
    assert found.rate_hz == 500
    assert found.symbol == SYMBOLS
    assert found.samples_at(250, frame_rate_hz=250).tolist()[:3] == [2, 200, 700]


def test_without_a_clock_of_its_own_the_file_counts_frames(tmp_path: Path) -> None:
    found = parsed_annotations("r.atr", written(tmp_path))
    assert found.samples_at(500, frame_rate_hz=125).tolist()[:3] == [20, 1600, 5600]


def test_symbols_that_the_file_defines_are_used(tmp_path: Path) -> None:
    labels = [[42, "$", "a thing of our own"]]
    wfdb.wrann(
        "r", "atr", np.array([7, 9]), symbol=["$", "N"], custom_labels=labels,
        write_dir=str(tmp_path),
    )  # fmt: skip
    found = parsed_annotations("r.atr", (tmp_path / "r.atr").read_bytes())
    assert list(zip(found.sample, found.symbol, strict=True)) == [(7, "$"), (9, "N")]


def test_an_unknown_code_is_shown_as_a_number() -> None:
    assert parsed_annotations("r.atr", b"\x05\xb4\x00\x00").symbol == ["[45]"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x05\x04", "byte 2: the file stops without its end mark"),
        (b"\x05", "byte 0: the file stops without its end mark"),
        (b"\x00\xec\x01\x00", "byte 0: the file stops inside an annotation"),
        (b"\x05\x04\x20\xfcab", "the file stops inside a note"),
        (b"\x07\xf8\x05\x04\x00\x00", "byte 0: a modifier (62) of no annotation"),
        (b"\x00\xec\xff\x7f\xff\xff" * 200_000 + b"\x01\x04\0\0", "a time that no record has"),
    ],
)
def test_damage_is_found_and_placed(content: bytes, says: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        parsed_annotations("r.atr", content)
    assert caught.value.detail.startswith("r.atr: damaged at byte")
    assert says in caught.value.detail


def test_every_shorter_piece_of_a_file_is_damaged(tmp_path: Path) -> None:
    content = written(tmp_path, aux_note=NOTES, fs=360)
    for length in range(len(content) - 1):
        with pytest.raises(MalformedInput):
            parsed_annotations("r.atr", content[:length])
