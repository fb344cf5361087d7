from __future__ import annotations

import numpy as np

from services.models.ecgbert.made.derived import cut_up, fused, of_beats, thinned
from tests.services.models.ecgbert.made.test_shapes import made_beats
from tests.services.models.ecgbert.tiny import tiny_clusters


def test_a_piece_holds_its_own_beats_and_words() -> None:
    beats = made_beats()
    pieces = list(cut_up(beats, duration_s=60.0, n_samples=120 * 360))
    assert len(pieces) == 2
    assert sum(len(piece.peaks) for piece in pieces) == len(beats.peaks)
    words = np.concatenate([piece.inputs(tiny_clusters()).words for piece in pieces])
    assert words.shape == beats.inputs(tiny_clusters()).words.shape


def test_chosen_beats_keep_their_waves() -> None:
    beats = made_beats()
    at = np.array([3, 7, 20])
    few = of_beats(beats, at)
    for place, beat in enumerate(at):
        there, here = beats.shapes.waves[beat], few.shapes.waves[place]
        assert np.array_equal(here < 0, there < 0)
        kept = there >= 0
        assert np.array_equal(few.shapes.points[:, here[kept]], beats.shapes.points[:, there[kept]])


def test_thinned_records_are_mostly_ectopic_and_keep_each_interval() -> None:
    beats = made_beats()
    fewer = thinned(beats, (2,), np.random.default_rng(0))
    assert fewer is not None
    assert np.mean(fewer.label == 2) > 0.25 > np.mean(beats.label == 2)
    before = np.diff(beats.peaks)
    assert np.isin(np.diff(fewer.peaks), before).all()
    assert thinned(beats, (1,), np.random.default_rng(0)) is None


def test_fused_beats_are_between_a_normal_and_a_ventricular_one() -> None:
    beats = made_beats()
    label = beats.label.copy()
    label[::6] = 2
    beats.label[:] = label
    mixed = fused(beats, np.random.default_rng(0))
    assert mixed is not None
    changed = np.flatnonzero(mixed.label == 3)
    assert len(changed)
    assert (beats.label[changed] == 0).all()
    assert not np.array_equal(mixed.shapes.windows[changed], beats.shapes.windows[changed])
    assert (np.diff(mixed.peaks) > 0).all()
