"""Sentences: which token carries which label, and that a file gives back what was stored."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from services.ecg.record import Annotations
from services.ecg.segmentation import BACKGROUND, wave_intervals
from services.errors import MalformedInput
from services.models.ecgbert.guide.sentences import (
    GRANULARITIES,
    NO_LABEL,
    Granularity,
    LeadSentence,
    RecordSentences,
    chunk_bounds,
    labels_of_beats,
    lead_sentence,
    store_sentences,
    stored_sentences,
)

RATE_HZ = 360.0
PEAKS = np.array([400, 760, 1120])
LABELS = np.array([0, 2, NO_LABEL])


def made(granularity: Granularity) -> tuple[LeadSentence, np.ndarray]:
    lead = np.sin(np.arange(1500) / 7).astype(np.float32)
    waves = wave_intervals(PEAKS, n_samples=len(lead), sampling_rate_hz=RATE_HZ)
    ids = np.arange(len(waves))
    return lead_sentence(lead, waves, ids, LABELS, granularity=granularity), lead


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_all_waves_of_a_beat_carry_its_label_and_background_teaches_nothing(
    granularity: Granularity,
) -> None:
    sentence, _ = made(granularity)
    for beat, label in enumerate(LABELS):
        assert (sentence.label[sentence.beat == beat] == label).all()
    silent = sentence.kind == BACKGROUND
    assert (sentence.label[silent] == NO_LABEL).all()
    assert (sentence.beat[silent] == -1).all()
    assert sentence.start[0] == 0
    assert sentence.end[-1] == 1500
    assert (sentence.start[1:] == sentence.end[:-1]).all()


def test_a_wave_has_the_mean_of_its_samples() -> None:
    sentence, lead = made("wave")
    for signal, start, end in zip(sentence.signal, sentence.start, sentence.end, strict=True):
        assert signal == pytest.approx(lead[start:end].mean(), abs=1e-6)


def test_one_token_a_sample_has_the_samples_themselves_and_the_ids_of_their_waves() -> None:
    by_sample, lead = made("sample")
    by_wave, _ = made("wave")
    np.testing.assert_array_equal(by_sample.signal, lead)
    length = by_wave.end - by_wave.start
    np.testing.assert_array_equal(by_sample.tokens, np.repeat(by_wave.tokens, length))


def test_a_beat_has_the_class_of_the_annotation_within_150_ms() -> None:
    annotations = Annotations(np.array([402, 700, 760, 1200]), ("N", "+", "V", "N"))
    found = labels_of_beats(PEAKS, annotations, np.array([0, -1, 2, 0]), sampling_rate_hz=RATE_HZ)
    assert found.tolist() == [0, 2, NO_LABEL]  # the last is 222 ms away, and + is no beat


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_a_file_gives_back_what_was_stored_as_maps(
    tmp_path: Path, granularity: Granularity
) -> None:
    sentence, _ = made(granularity)
    stored = RecordSentences("201", "201", granularity, ("MLII", "V1"), (sentence,) * 2, PEAKS)
    store_sentences(stored, tmp_path / "201.npz")
    again = stored_sentences(tmp_path / "201.npz")
    assert (again.record, again.patient, again.granularity) == ("201", "201", granularity)
    assert again.lead_names == ("MLII", "V1")
    assert isinstance(again.leads[1].signal, np.memmap)
    for name in ("tokens", "signal", "label", "beat", "start", "end", "kind"):
        np.testing.assert_array_equal(getattr(again.leads[1], name), getattr(sentence, name))
    with np.load(tmp_path / "201.npz", allow_pickle=False) as plain:  # an ordinary .npz
        np.testing.assert_array_equal(plain["lead0_tokens"], sentence.tokens)


def test_chunks_cover_every_lead_and_no_chunk_spans_two() -> None:
    sentence, _ = made("sample")
    rows = chunk_bounds([sentence, sentence], size=1000)
    assert rows.tolist() == [[0, 0, 1000], [0, 1000, 1500], [1, 0, 1000], [1, 1000, 1500]]


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", tokens=np.zeros(100))
    with pytest.raises(MalformedInput, match=r"a\.npz: .*compressed"):
        stored_sentences(tmp_path / "a.npz")


def test_a_file_that_says_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", tokens=np.zeros(4))
    raw = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(raw.replace(b"(4,), }       ", b"(4000000,), } "))
    with pytest.raises(MalformedInput, match="does not hold"):
        stored_sentences(tmp_path / "a.npz")


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", tokens=np.array([{}], dtype=object))
    with pytest.raises(MalformedInput, match=r"a\.npz"):
        stored_sentences(tmp_path / "a.npz")


def test_another_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    with pytest.raises(MalformedInput, match="not a file of sentences"):
        stored_sentences(tmp_path / "a.npz")


def test_ids_beyond_the_waves_are_refused(tmp_path: Path) -> None:
    sentence, _ = made("wave")
    wrong = LeadSentence(**{**sentence.__dict__, "tokens": np.full(len(sentence), 71)})
    store_sentences(RecordSentences("a", "a", "wave", ("II",), (wrong,), PEAKS), tmp_path / "a.npz")
    with pytest.raises(MalformedInput, match="ids beyond 69"):
        stored_sentences(tmp_path / "a.npz")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(MalformedInput, match=r"a\.npz"):
        stored_sentences(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("tokens.npy", b"no array")
    with pytest.raises(MalformedInput, match=r"b\.npz"):
        stored_sentences(tmp_path / "b.npz")
