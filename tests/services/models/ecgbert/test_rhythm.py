from __future__ import annotations

import numpy as np

from services.models.ecgbert.rhythm import (
    RHYTHM_FEATURES,
    in_step,
    irregularity,
    rhythm_features,
    running_mean,
)

STEADY = np.arange(1, 60) * 300


def early_beat(place: int = 30, by: int = 100) -> np.ndarray:
    peaks = STEADY.copy()
    peaks[place] -= by
    return peaks


def column(name: str, peaks: np.ndarray) -> np.ndarray:
    return rhythm_features(peaks, sampling_rate_hz=360.0)[:, RHYTHM_FEATURES.index(name)]


def test_an_early_beat_is_early_against_the_record_and_followed_by_a_pause() -> None:
    peaks = early_beat()
    assert np.isclose(column("pre_to_record", peaks)[30], np.log(200 / 300), atol=1e-3)
    assert np.isclose(column("post_to_record", peaks)[30], np.log(400 / 300), atol=1e-3)
    assert np.isclose(column("post_to_pre", peaks)[30], np.log(2.0))


def test_trains_of_early_beats_between_pauses_are_early_though_they_are_the_most() -> None:
    intervals = np.tile([700] + [240] * 5, 30)  # a pause, then five early beats, again and again
    peaks = np.cumsum(intervals)
    early = np.tile([False] + [True] * 5, 30)
    assert column("pre_to_record", peaks)[early].max() < -0.2
    assert column("pre_to_record", peaks)[~early][1:].min() > 0.5
    assert np.abs(column("pre_to_median", peaks)[early]).max() < 1e-3  # a median is blind to it


def test_neither_the_sampling_rate_nor_the_pace_changes_a_feature() -> None:
    features = rhythm_features(early_beat(), sampling_rate_hz=360.0)
    at_another_rate = rhythm_features(early_beat() * 2, sampling_rate_hz=720.0)
    slower = rhythm_features(early_beat() * 2, sampling_rate_hz=360.0)
    assert np.allclose(features, at_another_rate, atol=1e-6)
    assert np.allclose(features, slower, atol=1e-6)


def test_no_beat_and_one_beat_have_finite_features() -> None:
    assert rhythm_features(np.array([], dtype=np.int64), sampling_rate_hz=360.0).shape[0] == 0
    assert np.isfinite(rhythm_features(np.array([500]), sampling_rate_hz=360.0)).all()


def test_a_running_mean_is_over_what_there_is() -> None:
    assert np.allclose(running_mean(np.array([1.0, 2.0, 6.0]), beside=1), [1.5, 3.0, 4.0])


def test_an_irregular_rhythm_is_told_from_a_steady_one() -> None:
    rng = np.random.default_rng(0)
    wild = np.cumsum(rng.integers(150, 450, 60))
    assert irregularity(STEADY, sampling_rate_hz=360.0).max() < 0.01
    assert np.median(irregularity(wild, sampling_rate_hz=360.0)) > 0.05


def test_the_early_beat_and_its_neighbours_are_out_of_step() -> None:
    out = np.flatnonzero(~in_step(early_beat(), sampling_rate_hz=360.0))
    assert out.tolist() == [29, 30, 31]
