"""What beats of one shape have in common."""

from __future__ import annotations

import numpy as np
import pytest

from services.ecg.record import FloatArray
from services.models.ecgbert import alike
from services.models.ecgbert.alike import ALIKE_FEATURES, alike_features
from services.models.ecgbert.reference_beat import SIMILARITY_FEATURES
from services.models.ecgbert.rhythm import rhythm_features
from services.models.ecgbert.spec import R_POINT, WINDOW_POINTS

PRE, STEP = (ALIKE_FEATURES.index(name) for name in ("alike_pre", "alike_in_step"))


def record(wide: np.ndarray, early: np.ndarray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Windows, rhythm and similarity of beats of two shapes, some of which come early."""
    points = np.arange(WINDOW_POINTS) - R_POINT
    narrow = np.exp(-0.5 * (points / 2.0) ** 2)
    broad = np.exp(-0.5 * ((points - 4) / 6.0) ** 2)
    one_lead = np.where(wide[:, None], broad, narrow)
    noise = np.random.default_rng(0).normal(0, 0.01, (len(wide), 2, WINDOW_POINTS))
    windows = np.stack([one_lead, -one_lead], axis=1) + noise
    peaks = np.cumsum(np.where(early, 0.5, 0.8) * 360).astype(np.int64)
    similarity = np.zeros((len(wide), 2, SIMILARITY_FEATURES), dtype=np.float32)
    rhythm = rhythm_features(peaks, sampling_rate_hz=360.0)
    return windows.astype(np.float32), rhythm, similarity


def test_beats_of_a_shape_that_comes_early_are_told_from_those_of_one_that_comes_in_step() -> None:
    at = np.arange(300)
    wide = at % 10 == 5
    ectopic = alike_features(*record(wide, early=wide))
    blocked = alike_features(*record(wide, early=np.zeros(300, dtype=bool)))
    assert ectopic.shape == (300, len(ALIKE_FEATURES))
    assert ectopic[wide, PRE].max() < -0.2
    assert ectopic[wide, STEP].max() < 0.1
    assert blocked[wide, STEP].min() > 0.9
    assert np.abs(blocked[:, PRE]).max() < 0.05


def test_one_early_beat_of_a_shape_that_is_in_step_shares_its_lot() -> None:
    early = np.arange(300) == 150
    found = alike_features(*record(np.zeros(300, dtype=bool), early))
    assert found[150, STEP] > 0.8


def test_a_beat_like_no_other_has_its_own() -> None:
    odd = np.arange(300) == 150
    found = alike_features(*record(odd, early=odd))
    assert found[150, STEP] < 0.01
    assert found[150, PRE] < -0.3


def test_a_long_record_is_read_in_parts_to_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beats = record(np.arange(300) % 7 == 3, np.arange(300) % 7 == 3)
    whole = alike_features(*beats)
    monkeypatch.setattr(alike, "_AT_ONCE", 64)
    assert np.allclose(alike_features(*beats), whole, atol=1e-6)
