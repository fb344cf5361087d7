"""What a row keeps of a result is that result again."""

from __future__ import annotations

import io

import numpy as np
import pytest

from services.models.results import BeatResult
from services.predictions.result_codec import beat_result, summary_and_beats

ARRAYS = ("sample", "label_index", "probabilities", "unreadable")


def result(n_beats: int) -> BeatResult:
    random = np.random.default_rng(n_beats)
    probabilities = random.dirichlet(np.full(5, 0.2), n_beats).astype(np.float32)
    return BeatResult(
        sampling_rate_hz=360.0,
        leads_used=("MLII", "V1"),
        labels=("N", "S", "V", "F", "Q"),
        sample=np.cumsum(random.integers(200, 2**33, n_beats)),
        label_index=probabilities.argmax(axis=1),
        probabilities=probabilities,
        unreadable=random.random(n_beats) < 0.1,
        notes=("one", "two"),
    )


def assert_same(found: BeatResult, made: BeatResult) -> None:
    for name in ARRAYS:
        kept, was = getattr(found, name), getattr(made, name)
        assert kept.dtype == was.dtype
        np.testing.assert_array_equal(kept, was)
    for name in ("sampling_rate_hz", "leads_used", "labels", "notes"):
        assert getattr(found, name) == getattr(made, name)


@pytest.mark.parametrize("n_beats", [0, 1, 2300])
def test_a_result_comes_back_as_it_was(n_beats: int) -> None:
    made = result(n_beats)
    summary, beats = summary_and_beats(made)
    assert beats is not None
    assert_same(beat_result(summary, beats), made)


def test_what_was_kept_as_npz_is_read() -> None:
    made = result(100)
    summary, _ = summary_and_beats(made)
    packed = io.BytesIO()
    np.savez(
        packed,
        sample=made.sample,
        label_index=made.label_index.astype(np.uint8),
        probabilities=made.probabilities,
        unreadable=made.unreadable,
    )
    assert_same(beat_result(summary, packed.getvalue()), made)
