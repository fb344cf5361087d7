"""Wide ordinary beats: wider and otherwise shaped, with the P wave that they had."""

from __future__ import annotations

import numpy as np
import pytest

from services.ecg.record import FloatArray
from services.models.ecgbert.made.blocks import BlockForm, blocked, second_ventricle_late
from services.models.ecgbert.made.programmes import made_block
from services.models.ecgbert.made.signal import MadeRhythm, made_record
from services.models.ecgbert.made.trials import TRIALS
from services.models.ecgbert.reference_beat import correlation
from services.models.ecgbert.spec import R_POINT
from services.models.ecgbert.training_set import annotated_shapes, detected_shapes
from tests.services.models.ecgbert.made.test_signal import bank

RATE_HZ = 360.0
TIME_S = np.arange(-0.3, 0.48, 1 / RATE_HZ)
FORMS = (blocked, second_ventricle_late)


def narrow_beats() -> FloatArray:
    """Three like beats on two leads, P, QRS and T wave; R at 0 s."""
    waves = ((-0.16, 0.02, 0.15), (0.0, 0.012, 1.0), (0.27, 0.04, 0.3))
    one = sum(height * np.exp(-0.5 * ((TIME_S - at) / width) ** 2) for at, width, height in waves)
    return np.tile(np.stack([one, -0.6 * np.asarray(one)]), (3, 1, 1)).astype(np.float32)


def duration_s(beats: FloatArray) -> float:
    """From the first to the last time at which the QRS is steep on any lead."""
    inside = (TIME_S > -0.11) & (TIME_S < 0.17)
    steep = np.abs(np.gradient(beats[0], axis=-1)).max(axis=0)[inside]
    at = TIME_S[inside][steep > 0.15 * steep.max()]
    return float(at[-1] - at[0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(8))
def test_the_qrs_is_wider_and_the_p_wave_stays(form: BlockForm, seed: int) -> None:
    narrow = narrow_beats()
    wide = form(narrow, TIME_S, np.random.default_rng(seed))
    assert wide.shape == narrow.shape
    assert duration_s(wide) > 1.15 * duration_s(narrow)
    before = TIME_S < -0.1
    # a QRS that is slow begins earlier, and its P wave with it
    likeness = max(
        correlation(np.roll(wide, by, axis=-1)[..., before], narrow[..., before]).min()
        for by in range(25)
    )
    assert likeness > 0.95


@pytest.mark.parametrize("form", FORMS)
def test_all_beats_of_a_record_have_one_form_and_another_record_has_another(
    form: BlockForm,
) -> None:
    one, other = (form(narrow_beats(), TIME_S, np.random.default_rng(seed)) for seed in (1, 2))
    assert np.array_equal(one[0], one[1])
    assert not np.allclose(one[0], other[0], atol=0.02)


def test_blocked_beats_are_ordinary_ones_and_early_blocked_beats_early_ones() -> None:
    interval_s = np.full(80, 0.8)
    interval_s[39] = 0.5
    kinds = ("N",) * 20 + ("R",) * 19 + ("a",) + ("R",) * 20 + ("N",) * 20
    rhythm = MadeRhythm(kinds, interval_s)
    made = made_record(bank(), rhythm, np.random.default_rng(0), block=blocked)
    label = annotated_shapes(made).label
    assert label.tolist() == [int(kind == "a") for kind in kinds]
    found = detected_shapes(made)
    assert (found.label >= 0).mean() > 0.95
    like = annotated_shapes(made).measured.similarity[..., 4].mean(axis=1)  # QRS
    wide = np.isin(kinds, ("R", "a"))
    assert np.median(like[wide]) < np.median(like[~wide])


def test_a_block_comes_and_goes_in_training() -> None:
    rhythms = [made_block(bank(0), np.random.default_rng(seed)) for seed in range(20)]
    shares = [np.isin(rhythm.kind, ("R", "a")).mean() for rhythm in rhythms]
    assert min(shares) < 0.3 < max(shares)
    assert np.mean([0.05 < share < 0.95 for share in shares]) > 0.5


def test_ventricular_beats_are_own_or_ordinary_ones_made_wide_without_a_p_wave() -> None:
    assert {made_block(bank(), np.random.default_rng(s)).own_ventricular for s in range(20)} == {
        True,
        False,
    }
    rhythm = next(
        made
        for made in (made_block(bank(0), np.random.default_rng(seed)) for seed in range(20))
        if made.kind.count("V") > 10 and made.kind.count("R") > 100
    )
    assert not rhythm.own_ventricular
    made = annotated_shapes(made_record(bank(0), rhythm, np.random.default_rng(0)))
    p_wave = made.measured.windows[:, 0, R_POINT - 24 : R_POINT - 12].max(axis=-1)
    kind = np.array(rhythm.kind)
    assert np.median(p_wave[kind == "V"]) < 0.5 * np.median(p_wave[np.isin(kind, ("R", "N"))])


def test_trials_of_blocks_have_ventricular_beats_to_be_told_from() -> None:
    rng = np.random.default_rng(4)
    always, at_times = (TRIALS[name](bank(), rng).kind for name in ("block", "changing_block"))
    assert set(always) == {"R", "V"}
    assert set(at_times) == {"N", "R", "V"}
