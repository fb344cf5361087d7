"""The original's borders and slices, ends included, on a few beats."""

from __future__ import annotations

import numpy as np

from services.ecg.segmentation import BACKGROUND, QRS, P, T
from services.models.ecgbert.reference.segments import slice_means, wave_segments, wave_slices


def test_a_beat_has_its_waves_where_the_guide_says() -> None:
    p, qrs, t, background = wave_segments(np.array([200]), n_samples=500)
    assert p.tolist() == [[146, 182]]
    assert qrs.tolist() == [[182, 218]]
    assert t.tolist() == [[218, 272]]
    assert background.tolist() == [[0, 146], [272, 500]]


def test_slices_include_their_end() -> None:
    slices = wave_slices(wave_segments(np.array([200]), n_samples=500), n_samples=500)
    lengths = slices.last - slices.first + 1
    assert slices.kind.tolist() == [BACKGROUND, P, QRS, T, BACKGROUND]
    assert lengths.tolist() == [147, 37, 37, 55, 228]


def test_waves_are_clipped_to_the_signal() -> None:
    p, qrs, t, _ = wave_segments(np.array([10, 490]), n_samples=500)
    assert p.tolist() == [[0, 0], [436, 472]]
    assert qrs.tolist() == [[0, 28], [472, 500]]
    assert t.tolist() == [[28, 82], [500, 500]]


def test_indices_are_clamped_to_the_last_sample() -> None:
    slices = wave_slices(wave_segments(np.array([490]), n_samples=500), n_samples=500)
    assert slices.end.max() == 500
    assert slices.first.max() == slices.last.max() == 499


def test_background_between_close_beats_is_swapped_where_it_is_sliced() -> None:
    slices = wave_slices(wave_segments(np.array([200, 300]), n_samples=500), n_samples=500)
    between = np.flatnonzero((slices.kind == BACKGROUND) & (slices.start > slices.end))
    assert slices.start[between].tolist() == [272]
    assert slices.end[between].tolist() == [246]
    assert slices.first[between].tolist() == [246]
    assert slices.last[between].tolist() == [272]


def test_waves_are_ordered_by_the_start_before_swapping() -> None:
    slices = wave_slices(wave_segments(np.array([200, 300]), n_samples=500), n_samples=500)
    assert slices.start.tolist() == [0, 146, 182, 218, 246, 272, 282, 318, 372]
    assert slices.kind.tolist() == [
        BACKGROUND, P, QRS, T, P, BACKGROUND, QRS, T, BACKGROUND,
    ]  # fmt: skip


def test_waves_that_start_together_keep_the_order_p_qrs_t_background() -> None:
    slices = wave_slices(wave_segments(np.array([5]), n_samples=500), n_samples=500)
    assert slices.start[:3].tolist() == [0, 0, 0]
    assert slices.kind[:3].tolist() == [P, QRS, BACKGROUND]


def test_means_are_those_of_the_inclusive_slices() -> None:
    rng = np.random.default_rng(3)
    lead = rng.normal(size=3000)
    peaks = np.sort(rng.choice(3000, 12, replace=False))
    slices = wave_slices(wave_segments(peaks, n_samples=3000), n_samples=3000)
    expected = [
        lead[first : last + 1].mean() for first, last in zip(slices.first, slices.last, strict=True)
    ]
    np.testing.assert_allclose(slice_means(lead, slices), expected, atol=1e-12)
