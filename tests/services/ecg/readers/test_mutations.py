"""Whatever is done to the bytes of a good record: a record of the right shape, or our own error."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from services.ecg.readers.base import Limits
from services.ecg.record import EcgRecord
from services.errors import EctopyError
from tests import corpus
from tests.services.ecg.readers.test_detect import read

ROUNDS = 10  # of each kind of damage, so 60 for each record
LIMITS = Limits(max_values=2_000_000, max_unpacked_bytes=8_000_000)


def _flip(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 8)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _remove(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.randint(1, 64)]


def _repeat(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at:at] = data[at : at + dice.randint(1, 64)] * dice.randint(1, 4)


def _number(data: bytearray, dice: random.Random) -> None:
    """Another number where a digit is: the header's weak points."""
    digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
    if digits:
        at = dice.choice(digits)
        values = (b"0", b"-1", b"65536", b"999999999999", b"1e9", b"nan", b".5", b"1" * 40)
        data[at : at + 1] = dice.choice(values)


def _noise(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at : at + 16] = dice.randbytes(16)


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _cut,
    _remove,
    _repeat,
    _number,
    _noise,
)


def annotated() -> dict[str, bytes]:
    beats = b"".join((1 << 10 | 288).to_bytes(2, "little") for _ in range(12))
    note = b"\x00\x70\x05\xfc(AFIB"[:9] + b"\0"
    return corpus.good_record() | {"rec.atr": note + beats + b"\0\0"}


def segmented() -> dict[str, bytes]:
    master = b"all/3 2 360 7560\nrec 3600\n~ 360\nb 3600\n"
    return corpus.good_record() | corpus.good_record("b") | {"all.hea": master}


def rare_format() -> dict[str, bytes]:
    data = np.diff(corpus.made_ecg(), axis=0, prepend=0).clip(-127, 127).astype(np.int8)
    return {"rec.hea": corpus.header(storage=8), "rec.dat": data.tobytes()}


RECORDS: dict[str, Callable[[], Mapping[str, bytes]]] = {
    "example": corpus.example_record,
    "annotated": annotated,
    "segmented": segmented,
    "format 8": rare_format,
    "FLAC": corpus.flac_record,
    "zip": lambda: {"rec.zip": corpus.zipped(annotated())},
}


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@pytest.mark.parametrize("kind", RECORDS)
def test_no_mutation_leads_to_another_error(
    kind: str, mutate: Callable[[bytearray, random.Random], None], tmp_path: Path
) -> None:
    good = RECORDS[kind]()
    for seed in range(ROUNDS):
        dice = random.Random(seed)
        victim = dice.choice(sorted(good))
        data = bytearray(good[victim])
        mutate(data, dice)
        folder = tmp_path / str(seed)
        folder.mkdir()
        outcome = record_or_refusal({**good, victim: bytes(data)}, folder)
        if isinstance(outcome, EctopyError):
            assert 400 <= outcome.status < 500
            assert str(tmp_path) not in outcome.detail
        else:
            assert outcome.signal.shape == (len(outcome.lead_names), outcome.n_samples)
            assert outcome.signal.size <= LIMITS.max_values
            assert outcome.duration_s >= LIMITS.min_duration_s


def record_or_refusal(files: Mapping[str, bytes], folder: Path) -> EcgRecord | EctopyError:
    try:
        return read(files, folder, LIMITS)
    except EctopyError as refusal:
        return refusal


@pytest.mark.parametrize("kind", RECORDS)
def test_the_records_are_good_before_they_are_mutated(kind: str, tmp_path: Path) -> None:
    assert read(RECORDS[kind](), tmp_path, LIMITS).n_samples > 0
