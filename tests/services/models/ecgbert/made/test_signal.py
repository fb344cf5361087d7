"""Made records: beats of one record at other times, on real filters and detectors."""

from __future__ import annotations

import numpy as np

from services.ecg.record import Annotations, EcgRecord
from services.models.ecgbert.made.programmes import (
    made_bigeminy,
    made_fibrillation,
    made_programme,
)
from services.models.ecgbert.made.signal import BeatBank, MadeRhythm, beat_bank, made_record
from services.models.ecgbert.made.trials import TRIALS
from services.models.ecgbert.training_set import annotated_shapes, detected_shapes
from tests.services.models.ecgbert.tiny import made_record as recorded


def annotated(duration_s: float = 120.0, *, every_v: int = 5) -> EcgRecord:
    record, peaks = recorded(duration_s=duration_s)
    symbols = ["V" if every_v and place % every_v == 2 else "N" for place in range(len(peaks))]
    return EcgRecord(
        record.signal,
        record.lead_names,
        record.sampling_rate_hz,
        name="made",
        annotations=Annotations(peaks.astype(np.int64), tuple(symbols)),
    )


def bank(every_v: int = 5) -> BeatBank:
    found = beat_bank(annotated(every_v=every_v))
    assert found is not None
    return found


def test_the_made_beats_lie_where_the_rhythm_has_them_and_the_detector_finds_them() -> None:
    interval_s = np.full(60, 0.8)
    interval_s[30], interval_s[31] = 0.5, 1.3
    kinds = ("N",) * 30 + ("A",) + ("N",) * 29
    record = made_record(bank(), MadeRhythm(kinds, interval_s), np.random.default_rng(0))
    assert record.annotations is not None
    assert record.annotations.symbol == kinds
    assert np.allclose(np.diff(record.annotations.sample) / 360.0, interval_s[1:], atol=0.01)
    found = detected_shapes(record)
    assert len(found.peaks) == 60
    assert found.label.tolist() == [int(kind == "A") for kind in kinds]


def test_an_early_beat_loses_its_p_wave_and_no_ordinary_beat_does() -> None:
    kinds = tuple("A" if place % 4 == 3 else "N" for place in range(80))
    record = made_record(bank(0), MadeRhythm(kinds, np.full(80, 0.8)), np.random.default_rng(3))
    beats = annotated_shapes(record)
    like_ordinary = beats.measured.similarity[..., 2].mean(axis=1)  # P wave, closer view
    early = beats.label == 1
    assert np.median(like_ordinary[~early]) > np.median(like_ordinary[early]) + 0.1


def test_a_record_without_steady_beats_has_nothing_to_offer() -> None:
    assert beat_bank(annotated(15.0)) is None


def test_ventricular_beats_are_made_of_a_patients_own_alone() -> None:
    without = bank(0)
    assert not without.has_ventricular
    kinds = {
        kind
        for seed in range(20)
        for kind in made_programme(without, np.random.default_rng(seed)).kind
    }
    assert "A" in kinds
    assert "V" not in kinds


def test_every_trial_is_a_rhythm_that_can_be_made() -> None:
    source = bank()
    for place, (name, trial) in enumerate(TRIALS.items()):
        rng = np.random.default_rng(place)
        rhythm = trial(source, rng)
        assert len(rhythm.kind) == len(rhythm.interval_s) >= 300, name
        assert rhythm.interval_s.min() >= 0.3, name
        assert made_record(source, rhythm, rng).n_leads == 2


def test_in_a_sick_sinus_early_beats_are_the_most_and_in_no_ectopy_there_are_none() -> None:
    rng = np.random.default_rng(1)
    sick = np.array(TRIALS["sick_sinus"](bank(), rng).kind)
    assert (sick == "A").mean() > 0.5
    assert set(TRIALS["no_ectopy"](bank(), rng).kind) == {"N"}


def test_fibrillation_is_all_of_a_record_or_a_part_of_it() -> None:
    rng = np.random.default_rng(2)
    always, at_times = (made_fibrillation(bank(0), rng, sinus=sinus) for sinus in (False, True))
    assert set(always.kind) == {"f"}
    assert set(at_times.kind) == {"f", "N"}


def test_in_bigeminy_early_beats_of_one_kind_come_by_count_and_never_two_in_a_row() -> None:
    for seed in range(10):
        kind = np.array(made_bigeminy(bank(), np.random.default_rng(seed)).kind)
        early = np.flatnonzero(kind != "N")
        assert len(set(kind[early])) == 1
        apart = np.diff(early)
        assert apart.min() >= 2
        assert np.mean(apart <= 3) > 0.8
