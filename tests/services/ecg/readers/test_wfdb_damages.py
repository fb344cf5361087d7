"""60 damages to each real WFDB record: a record of the length announced, or our own error."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.errors import EctopyError
from tests.services.ecg.readers.test_files import FORMATS, WFDB_SAMPLES, needs_formats
from tests.services.ecg.readers.test_mutations import LIMITS, MUTATIONS, record_or_refusal


def files_of(name: str) -> dict[str, bytes]:
    """The record's own files: of one folder, which may hold several single records."""
    path = FORMATS / name
    single = name.startswith("wfdb-mat")
    wanted = path.parent.glob(f"{path.stem}.*" if single else "*")
    return {each.name: each.read_bytes() for each in sorted(wanted)}


@needs_formats
@pytest.mark.parametrize("name", WFDB_SAMPLES)
def test_60_damages_give_a_refusal_or_a_record_of_the_right_length(
    name: str, tmp_path: Path
) -> None:
    good = files_of(name)
    whole = record_or_refusal(good, tmp_path)
    assert not isinstance(whole, EctopyError)
    refused = 0
    for seed in range(60):
        dice = random.Random(seed)
        victim = dice.choice(sorted(good))
        data = bytearray(good[victim])
        dice.choice(MUTATIONS)(data, dice)
        found = record_or_refusal(good | {victim: bytes(data)}, tmp_path)
        if isinstance(found, EctopyError):
            refused += 1
            assert 400 <= found.status < 500
            assert str(tmp_path) not in found.detail
            continue
        assert found.signal.shape == (len(found.lead_names), found.n_samples)
        assert found.signal.size <= LIMITS.max_values
        # a damaged header announces another record; damaged samples are as many as before
        if not victim.endswith(".hea"):
            assert found.signal.shape == whole.signal.shape
            assert found.sampling_rate_hz == whole.sampling_rate_hz
    assert refused > 5
