from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.ecg.record import EcgRecord
from services.errors import Cancelled, UnusableInput
from services.models.ecgbert import inference, preparation
from services.models.ecgbert.leads import readable_leads
from services.models.results import BeatResult
from services.training.progress import NoProgress
from tests.services.models.ecgbert.tiny import made_record, tiny_clusters, tiny_predictor


def predicted(record: EcgRecord, **options: Any) -> BeatResult:
    return tiny_predictor().predict(record, options=options, progress=NoProgress())


def test_every_beat_has_one_label_the_most_probable_one() -> None:
    record, peaks = made_record()
    result = predicted(record)
    assert len(result.sample) == len(result.label_index) == len(peaks)
    assert np.allclose(result.probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert np.array_equal(result.probabilities.argmax(axis=1), result.label_index)


@pytest.mark.parametrize("rate_hz", [100.0, 128.0, 250.0, 360.0, 500.0, 1000.0])
def test_samples_count_in_the_records_own_rate_and_point_at_the_r_peak(rate_hz: float) -> None:
    record, peaks = made_record(sampling_rate_hz=rate_hz)
    result = predicted(record)
    assert result.sampling_rate_hz == rate_hz
    assert len(result.sample) == len(peaks)
    assert np.abs(result.sample - peaks).max() <= 0.03 * rate_hz


@pytest.mark.parametrize("rate_hz", [180.0, 720.0])
def test_another_rate_gives_nearly_the_same_probabilities(rate_hz: float) -> None:
    usual, other = (predicted(made_record(sampling_rate_hz=hz)[0]) for hz in (360.0, rate_hz))
    assert np.abs(usual.probabilities - other.probabilities).max() < 0.1


def test_one_lead_is_enough() -> None:
    record, peaks = made_record(n_leads=1)
    result = predicted(record)
    assert result.leads_used == ("MLII",)
    assert len(result.sample) == len(peaks)


def test_of_three_leads_the_two_preferred_ones_are_read() -> None:
    record, _ = made_record(n_leads=3)
    names = ("V5", "V1", "II")
    assert predicted(replace(record, lead_names=names)).leads_used == ("II", "V1")


def test_the_same_record_gives_the_same_answer() -> None:
    record, _ = made_record()
    assert np.array_equal(predicted(record).probabilities, predicted(record).probabilities)


def test_the_record_itself_is_left_alone() -> None:
    record, _ = made_record()
    before = record.signal.copy()
    record.signal.setflags(write=False)
    predicted(record)
    assert np.array_equal(record.signal, before)


def test_where_the_record_is_cut_into_pieces_changes_no_probability() -> None:
    record, peaks = made_record(duration_s=60.0)
    leads, clusters, predictor = readable_leads(record), tiny_clusters(), tiny_predictor()

    def probabilities(piece_s: float) -> np.ndarray:
        shapes = preparation.beat_shapes(
            record, leads, peaks, progress=NoProgress(), piece_s=piece_s
        )
        inputs = preparation.from_shapes(
            shapes, rhythm_source=peaks, sampling_rate_hz=360.0, clusters=clusters
        )
        return predictor.probabilities(inputs, progress=NoProgress())

    whole = probabilities(1800.0)
    for piece_s in (7.0, 25.0):
        assert np.abs(probabilities(piece_s) - whole).max() < 1e-3


def test_how_many_beats_go_in_at_a_time_changes_no_probability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, _ = made_record()
    together = predicted(record).probabilities
    monkeypatch.setattr(inference, "CHUNK_TOKENS", 30)
    assert np.allclose(predicted(record).probabilities, together, atol=1e-6)


def test_a_lead_that_falls_out_leaves_its_beats_to_the_other() -> None:
    record, peaks = made_record()
    signal = record.signal.copy()
    signal[0, 2000:4000] = np.nan
    result = predicted(replace(record, signal=signal))
    assert len(result.sample) == len(peaks)
    assert np.isfinite(result.probabilities).all()
    assert not result.unreadable.any()


def test_a_gap_in_all_leads_is_noted_and_gives_no_nan() -> None:
    record, _ = made_record()
    signal = record.signal.copy()
    signal[:, 2000:4000] = np.nan
    result = predicted(replace(record, signal=signal))
    assert np.isfinite(result.probabilities).all()
    assert any("cannot be read" in note for note in result.notes)


def test_a_flat_lead_is_left_out_and_named() -> None:
    record, _ = made_record()
    signal = record.signal.copy()
    signal[0] = 0.5
    result = predicted(replace(record, signal=signal))
    assert result.leads_used == ("V1",)
    assert any("MLII" in note and "flat" in note for note in result.notes)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_record_without_a_usable_lead_is_refused(value: float) -> None:
    record, _ = made_record()
    with pytest.raises(UnusableInput, match="no ECG lead is usable"):
        predicted(replace(record, signal=np.full_like(record.signal, value)))


def test_a_record_that_is_too_short_is_refused_with_what_is_needed() -> None:
    record, _ = made_record()
    with pytest.raises(UnusableInput, match=r"lasts 2.00 s; beats need at least 3 s"):
        predicted(replace(record, signal=record.signal[:, :720]))


def test_a_record_without_beats_is_a_valid_empty_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.empty(0, dtype=np.int64)
    monkeypatch.setattr(inference, "detected_peaks", lambda *_, **__: nothing)
    result = predicted(made_record()[0])
    assert len(result.sample) == 0
    assert result.probabilities.shape == (0, 5)
    assert result.counts() == {"N": 0, "S": 0, "V": 0, "F": 0, "Q": 0}


def test_one_beat_alone_is_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    record, peaks = made_record()
    monkeypatch.setattr(inference, "detected_peaks", lambda *_, **__: peaks[3:4])
    assert predicted(record).probabilities.shape == (1, 5)


@pytest.mark.parametrize(
    ("options", "said"), [({"rpeaks": "magic"}, "hamilton2002"), ({"leads": 1}, "options.leads")]
)
def test_an_unknown_option_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableInput, match=said):
        predicted(made_record()[0], **options)


def test_work_that_is_cancelled_stops() -> None:
    class Stopped(NoProgress):
        def check_cancelled(self) -> None:
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        tiny_predictor().predict(made_record()[0], options={}, progress=Stopped())


def test_progress_only_ever_grows() -> None:
    class Kept(NoProgress):
        seen: list[float] = []  # noqa: RUF012

        def advance(self, fraction: float, *, stage: str = "") -> None:
            self.seen.append(fraction)

    kept = Kept()
    tiny_predictor().predict(made_record()[0], options={}, progress=kept)
    assert kept.seen == sorted(kept.seen)
    assert kept.seen[-1] == 1.0
