"""Which of the original's tokens a slice becomes."""

from __future__ import annotations

import numpy as np

from services.ecg.segmentation import BACKGROUND, QRS, P, T
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.reference.segments import WaveSlices
from services.models.ecgbert.reference.tokens import first_samples, wave_tokens
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE


def slices_of(first: list[int], last: list[int], kind: list[int]) -> WaveSlices:
    start, end = np.array(first), np.array(last)
    return WaveSlices(start=start, end=end, kind=np.array(kind), first=start, last=end)


def clusters(**centers: np.ndarray) -> Clusters:
    """Centres far from everything, but for those given by wave."""
    far = {
        name: np.full((count, 10), 1e3 + np.arange(count)[:, None])
        for name, count in zip(("p", "qrs", "t", "bg"), CLUSTERS_PER_WAVE, strict=True)
    }
    for name, values in centers.items():
        far[name][: len(values)] = values
    return Clusters(tuple(far.values()))


def test_only_the_first_ten_samples_of_a_slice_count() -> None:
    lead = np.arange(100.0)
    points = first_samples(lead, slices_of([20], [60], [QRS]))
    np.testing.assert_array_equal(points, [np.arange(20.0, 30.0)])


def test_a_shorter_slice_is_filled_up_with_zeros() -> None:
    lead = np.arange(1.0, 101.0)
    points = first_samples(lead, slices_of([98], [99], [BACKGROUND]))
    np.testing.assert_array_equal(points, [[99.0, 100.0, 0, 0, 0, 0, 0, 0, 0, 0]])


def test_ids_begin_where_the_guide_has_each_wave_begin() -> None:
    zeros = np.zeros((1, 10))
    tokens = wave_tokens(
        np.zeros(200),
        slices_of([0, 40, 80, 120], [30, 70, 110, 150], [P, QRS, T, BACKGROUND]),
        clusters(p=zeros, qrs=zeros, t=zeros, bg=zeros),
    )
    assert tokens.tolist() == [0, 12, 31, 45]


def test_the_nearest_centre_wins_and_of_equally_near_ones_the_first() -> None:
    lead = np.concatenate([np.zeros(50), np.full(50, 2.0)])
    slices = slices_of([0, 60], [40, 90], [P, P])
    near = clusters(p=np.array([[2.1] * 10, [0.5] * 10, [0.5] * 10]))
    assert wave_tokens(lead, slices, near).tolist() == [1, 0]


def test_waves_of_a_kind_that_is_missing_do_no_harm() -> None:
    tokens = wave_tokens(np.zeros(20), slices_of([0], [19], [T]), clusters())
    assert tokens.tolist() == [31]
