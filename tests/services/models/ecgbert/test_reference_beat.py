from __future__ import annotations

import numpy as np

from services.models.ecgbert.reference_beat import (
    aligned,
    correlation,
    ordinary_beat,
    qrs_height,
    similarity,
    windows,
)
from services.models.ecgbert.spec import R_POINT, WINDOW_POINTS

TIME = np.arange(WINDOW_POINTS) - R_POINT


def beat(width: float, height: float = 1.0) -> np.ndarray:
    return (height * np.exp(-0.5 * (TIME / width) ** 2)).astype(np.float32)[None]


NARROW, WIDE = beat(2.0), beat(9.0, -1.5)


def test_windows_put_the_r_peak_at_its_point() -> None:
    signal = np.zeros((1, 2000), dtype=np.float32)
    signal[0, [500, 1200]] = 1.0
    found = windows(signal, np.array([500, 1200]))
    assert found.shape == (2, 1, WINDOW_POINTS)
    assert found[:, 0].argmax(axis=1).tolist() == [R_POINT, R_POINT]


def test_windows_reach_beyond_the_ends_by_repeating_them() -> None:
    found = windows(np.arange(300, dtype=np.float32)[None], np.array([0, 299]))
    assert (found[0, 0, :R_POINT] == 0).all()
    assert (found[1, 0, R_POINT:] == 299).all()


def test_the_ordinary_beat_is_the_common_one_though_ectopic_beats_are_many() -> None:
    beats = np.stack([NARROW] * 60 + [WIDE] * 40)
    assert np.allclose(ordinary_beat(beats, np.ones(100, dtype=bool)), NARROW)


def test_beats_in_step_decide_where_ectopic_beats_are_more() -> None:
    beats = np.stack([NARROW] * 40 + [WIDE] * 60)
    step = np.arange(100) < 40
    assert np.allclose(ordinary_beat(beats, step), NARROW)


def test_an_equal_beat_correlates_and_a_wide_one_does_not() -> None:
    found = similarity(np.stack([NARROW, WIDE]), NARROW)
    assert found.shape == (2, 1, 14)
    qrs_correlation, qrs_difference, width = 4, 5, 11
    assert np.isclose(found[0, 0, qrs_correlation], 1.0, atol=1e-3)
    assert found[1, 0, qrs_correlation] < 0
    assert found[1, 0, qrs_difference] > found[0, 0, qrs_difference]
    assert found[1, 0, width] > found[0, 0, width]


def test_height_is_from_the_lowest_to_the_highest_point() -> None:
    assert np.isclose(qrs_height(beat(2.0, 3.0))[0], 3.0, atol=0.01)


def test_a_flat_stretch_correlates_with_nothing() -> None:
    assert correlation(np.zeros(10), np.arange(10.0)) == 0


def test_the_surroundings_tell_where_p_waves_agree_with_the_ordinary_one() -> None:
    p_wave = beat(3.0, 0.2) * 0
    p_wave[0, R_POINT - 26 : R_POINT - 14] = 0.2
    flutter = 0.2 * np.sin(TIME * 0.5 + np.arange(60)[:, None])[:, None] * (TIME < -8)
    sinus = np.repeat((NARROW + p_wave)[None], 60, axis=0)
    found = similarity(np.concatenate([sinus, NARROW + flutter]), NARROW + p_wave)[:, 0, 12:]
    assert found[10].min() > 0.9
    assert found[-10].max() < 0.7


def test_beats_marked_beside_their_peak_are_moved_onto_the_ordinary_one() -> None:
    shifted = np.stack([np.roll(NARROW, by, axis=-1) for by in (-3, 0, 4)])
    found = aligned(shifted, NARROW)
    assert found[:, 0].argmax(axis=1).tolist() == [R_POINT] * 3


def test_all_leads_of_a_beat_move_together() -> None:
    both = np.concatenate([NARROW, -NARROW])
    found = aligned(np.roll(both, 2, axis=-1)[None], both)
    assert np.allclose(found[0, 0], -found[0, 1])
    assert found[0, 0].argmax() == R_POINT


def test_a_beat_like_nothing_ordinary_stays_where_it_is() -> None:
    flat = np.zeros((1, 1, WINDOW_POINTS), dtype=np.float32)
    flat[0, 0, 5] = 1.0
    assert np.array_equal(aligned(flat, NARROW), flat)
