from __future__ import annotations

import numpy as np

from services.models.ecgbert.rhythm import (
    ABSOLUTE_FEATURES,
    RHYTHM_FEATURES,
    in_step,
    rhythm_features,
)

STEADY = np.arange(1, 60) * 300


def early_beat(place: int = 30, by: int = 100) -> np.ndarray:
    peaks = STEADY.copy()
    peaks[place] -= by
    return peaks


def column(name: str, peaks: np.ndarray) -> np.ndarray:
    return rhythm_features(peaks, sampling_rate_hz=360.0)[:, RHYTHM_FEATURES.index(name)]


def test_an_early_beat_is_early_against_the_far_rhythm_and_followed_by_a_pause() -> None:
    peaks = early_beat()
    assert np.isclose(column("pre_to_far", peaks)[30], np.log(200 / 300))
    assert np.isclose(column("post_to_far", peaks)[30], np.log(400 / 300))
    assert np.isclose(column("pre_to_post", peaks)[30], np.log(0.5))


def test_another_sampling_rate_gives_the_same_features() -> None:
    one = rhythm_features(early_beat(), sampling_rate_hz=360.0)
    other = rhythm_features(early_beat() * 2, sampling_rate_hz=720.0)
    assert np.allclose(one, other, atol=1e-6)


def test_a_faster_pace_moves_the_absolute_features_alone() -> None:
    slow = rhythm_features(early_beat() * 2, sampling_rate_hz=360.0)
    fast = rhythm_features(early_beat(), sampling_rate_hz=360.0)
    moved = np.abs(slow - fast).max(axis=0) > 1e-6
    assert np.flatnonzero(moved).tolist() == sorted(ABSOLUTE_FEATURES)


def test_no_beat_and_one_beat_have_finite_features() -> None:
    assert rhythm_features(np.array([], dtype=np.int64), sampling_rate_hz=360.0).shape[0] == 0
    assert np.isfinite(rhythm_features(np.array([500]), sampling_rate_hz=360.0)).all()


def test_the_early_beat_and_its_neighbours_are_out_of_step() -> None:
    out = np.flatnonzero(~in_step(early_beat(), sampling_rate_hz=360.0))
    assert out.tolist() == [29, 30, 31]
