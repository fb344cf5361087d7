from __future__ import annotations

import numpy as np

from services.models.ecgbert.leads import readable_leads
from services.models.ecgbert.made.shapes import ectopic, fibrillating, made_rhythms
from services.models.ecgbert.preparation import beat_shapes
from services.models.ecgbert.rhythm import rr_intervals_s
from services.models.ecgbert.spec import R_POINT
from services.models.ecgbert.training_set import LabelledShapes
from services.training.progress import NoProgress
from tests.services.models.ecgbert.tiny import made_record, tiny_clusters


def made_beats() -> LabelledShapes:
    record, peaks = made_record(duration_s=120.0)
    shapes = beat_shapes(record, readable_leads(record), peaks, progress=NoProgress())
    label = np.zeros(len(peaks), dtype=np.int64)
    label[::10] = 2
    return LabelledShapes("made", 360.0, peaks, label, shapes)


def test_the_rhythm_is_lost() -> None:
    before, after = made_beats(), fibrillating(made_beats(), np.random.default_rng(0))

    def spread(beats: LabelledShapes) -> float:
        return float(np.log(rr_intervals_s(beats.peaks, sampling_rate_hz=360.0)).std())

    assert spread(after) > 3 * spread(before)


def test_the_p_wave_is_lost_and_the_qrs_stays() -> None:
    before, after = made_beats(), fibrillating(made_beats(), np.random.default_rng(0))
    qrs = slice(R_POINT - 6, R_POINT + 20)
    assert np.array_equal(before.shapes.windows[..., qrs], after.shapes.windows[..., qrs])
    likeness = after.inputs(tiny_clusters()).similarity[..., 2]
    assert before.inputs(tiny_clusters()).similarity[..., 2].mean() > 0.9
    assert np.abs(likeness).mean() < 0.9


def test_normal_and_ventricular_beats_keep_their_label_and_others_teach_nothing() -> None:
    beats = made_beats()
    beats.label[5::10] = 1
    label = fibrillating(beats, np.random.default_rng(0)).label
    assert set(label[::10]) == {2}
    assert set(label[5::10]) == {-1}
    assert set(label[1::10]) == {0}


def test_early_beats_are_s_and_come_before_their_time() -> None:
    beats = made_beats()
    after = ectopic(beats, np.random.default_rng(1))
    early = after.label == 1
    interval_s = np.diff(after.peaks, prepend=after.peaks[0]) / 360.0
    assert early.any()
    assert np.median(interval_s[1:][early[1:]]) < 0.9 * np.median(interval_s[1:][~early[1:]])
    assert np.array_equal(after.label[~early], beats.label[~early])


def test_an_early_beat_keeps_its_qrs_and_loses_its_p_wave() -> None:
    beats = made_beats()
    after = ectopic(beats, np.random.default_rng(1))
    early = after.label == 1
    qrs = slice(R_POINT - 6, R_POINT + 20)
    before_windows, after_windows = beats.shapes.windows, after.shapes.windows
    assert np.array_equal(before_windows[early][..., qrs], after_windows[early][..., qrs])
    assert np.array_equal(before_windows[~early], after_windows[~early])
    assert np.abs(before_windows[early] - after_windows[early])[..., :R_POINT].max() > 0.05


def test_a_seed_repeats_what_is_made_and_another_does_not() -> None:
    beats = [made_beats()]
    one, again, other = (made_rhythms(beats, [fibrillating], seed=s)[0] for s in (0, 0, 1))
    assert np.array_equal(one.peaks, again.peaks)
    assert not np.array_equal(one.peaks, other.peaks)


def test_nothing_is_made_of_a_record_without_a_steady_rhythm() -> None:
    unsteady = fibrillating(made_beats(), np.random.default_rng(0))
    assert made_rhythms([unsteady], [fibrillating, ectopic], seed=0) == []
