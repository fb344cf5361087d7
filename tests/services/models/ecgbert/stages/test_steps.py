"""Steps 1 to 3 on made records: what they leave, in both modes, and what is not done again."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from services.errors import NotPermitted, UnusableInput
from services.models.ecgbert.guide.sentences import NO_LABEL, RecordSentences, stored_sentences
from services.models.ecgbert.public.cluster_files import clusters_at
from services.models.ecgbert.stages import preprocessing, segmentation, sentences
from services.models.ecgbert.stages.preprocessing import Prepared, preprocess
from services.models.ecgbert.stages.segmentation import read_waves, segment
from services.models.ecgbert.stages.sentences import sentence_files, write_sentences
from services.models.ecgbert.stages.settings import PARTS, Mode, StageRun, TaskFolder
from services.models.ecgbert.stages.survey import surveyed
from tests.services.models.ecgbert.stages.made_dataset import (
    ALONE,
    run_in,
    write_dataset,
    write_record,
)
from tests.services.models.ecgbert.tiny import tiny_clusters
from tests.signals import made_ecg


def all_steps(data: Path, run: StageRun, *, granularity: str = "wave") -> Prepared:
    prepared = preprocess(surveyed(data, ALONE), run)
    segment(prepared, run)
    write_sentences(prepared, run, clusters=tiny_clusters(), granularity=granularity)  # type: ignore[arg-type]
    return prepared


def sentences_of(run: StageRun) -> dict[str, RecordSentences]:
    found = [stored_sentences(file) for part in PARTS for file in sentence_files(run.task, part)]
    return {each.record: each for each in found}


@pytest.mark.parametrize("granularity", ["wave", "sample"])
def test_every_beat_of_every_record_arrives_with_its_class(
    tmp_path: Path, granularity: str
) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path)
    write_record(data, "e5", sampling_rate_hz=250.0)
    prepared = all_steps(data, run, granularity=granularity)
    _, peaks = made_ecg()
    for record in prepared.records:
        found = sentences_of(run)[record.name]
        assert found.granularity == granularity
        assert found.lead_names == ("MLII", "V1")
        np.testing.assert_allclose(found.peaks, peaks, atol=2)
        for lead in found.leads:
            labels = [lead.label[lead.beat == beat] for beat in range(len(peaks))]
            assert [label[0] for label in labels] == [beat % 5 for beat in range(len(peaks))]
            assert all((label == label[0]).all() for label in labels)
            assert (lead.label[lead.beat < 0] == NO_LABEL).all()


def test_the_folders_and_files_are_called_as_the_guide_calls_them(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path, pickle=True)
    all_steps(data, run)
    root = tmp_path / "Beats"
    for ending in ("npy", "pkl"):
        for part in ("train", "val"):
            for what in ("processed_signals", "labels"):
                assert (root / "ECG_Preprocessing" / f"Beats_{part}_{what}.{ending}").is_file()
    for ending in ("npz", "pkl"):
        segmented = root / "ECG_Segmentation"
        assert (segmented / f"Beats_train_0_segments.{ending}").is_file()
        assert (segmented / f"Beats_train_0_label.{ending}").is_file()
        for wave in ("p", "qrs", "t", "bg"):
            assert (segmented / wave / f"Beats_val_0_{wave}_segments.{ending}").is_file()
        for part in ("train", "val"):
            assert (root / "ECG_Sentence" / part / f"sentence_0.{ending}").is_file()


def test_a_pickled_sentence_is_the_guides_triple(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path, pickle=True)
    all_steps(data, run)
    n_records = len(sentence_files(run.task, "train"))
    pickled = sorted((run.task.sentence / "train").glob("*.pkl"))
    assert len(pickled) == 2 * n_records  # one a lead
    words, signal, labels = pickle.loads((pickled[0]).read_bytes())  # noqa: S301 - our own file
    first = stored_sentences(sentence_files(run.task, "train")[0]).leads[0]
    assert words == [71, *first.tokens.tolist(), 72]
    assert len(words) == len(signal) == len(labels)


def test_patients_do_not_leak_and_the_split_is_stored(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("201", "202", "203", "204", "205"):
        write_record(data, name)
    run = run_in(tmp_path)
    prepared = preprocess(surveyed(data, ALONE), run)
    part_of = {record.name: record.part for record in prepared.records}
    assert part_of["201"] == part_of["202"]
    stored = json.loads((run.task.preprocessing / "index.json").read_text())["patients"]
    assert not set(stored["train"]) & set(stored["val"])
    assert sorted(stored["train"] + stored["val"]) == ["201", "203", "204", "205"]


def test_records_that_are_named_validate(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path, validation=("b2", "d4"))
    prepared = preprocess(surveyed(data, ALONE), run)
    assert [record.name for record in prepared.of_part("val")] == ["b2", "d4"]


@pytest.mark.parametrize("names", [("z9",), ("a1", "b2", "c3", "d4")])
def test_a_validation_that_leaves_nothing_or_is_not_there_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path, validation=names)
    with pytest.raises(UnusableInput, match="validat"):
        preprocess(surveyed(data, ALONE), run)


def test_two_classes_are_normal_and_abnormal(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path, binary=True)
    prepared = all_steps(data, run)
    assert prepared.classes == ("normal", "abnormal")
    lead = sentences_of(run)["a1"].leads[0]
    assert sorted(set(lead.label.tolist())) == [NO_LABEL, 0, 1]


def test_finished_steps_are_not_done_again_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path)
    all_steps(data, run)
    done: list[str] = []
    for module, work in (
        (preprocessing, "_prepare"),
        (segmentation, "_segment"),
        (sentences, "_write_sentence"),
    ):
        real = getattr(module, work)

        def counted(*args: object, real: object = real, work: str = work) -> object:
            done.append(work)
            return real(*args)  # type: ignore[operator]

        monkeypatch.setattr(module, work, counted)
    all_steps(data, run)
    assert done == []
    all_steps(data, run, granularity="sample")
    assert set(done) == {"_write_sentence"}
    done.clear()
    all_steps(data, run_in(tmp_path, rpeaks="kalidas2017"), granularity="sample")
    assert set(done) == {"_segment", "_write_sentence"}
    done.clear()
    write_record(data, "a1", symbols="NA")
    all_steps(data, run_in(tmp_path, rpeaks="kalidas2017"), granularity="sample")
    assert set(done) == {"_prepare", "_segment", "_write_sentence"}


def test_a_beat_whose_samples_are_missing_teaches_nothing(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path)
    _, peaks = made_ecg()
    file = data / "a1.dat"
    counts = np.frombuffer(file.read_bytes(), dtype="<i2").reshape(-1, 2).copy()
    counts[peaks[5] + 30 : peaks[5] + 60, 1] = -32768  # no sample, in the T wave of one lead
    file.write_bytes(counts.tobytes())
    prepared = preprocess(surveyed(data, ALONE), run)
    (record,) = (record for record in prepared.records if record.name == "a1")
    _, labels = prepared.beats(record)
    assert np.flatnonzero(labels == NO_LABEL).tolist() == [5]
    assert np.isfinite(prepared.signal(record)).all()


def test_clusters_that_are_not_given_are_fitted_to_the_training_patients(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path)
    prepared = preprocess(surveyed(data, ALONE), run)
    segment(prepared, run)
    write_sentences(prepared, run, clusters=None, granularity="wave")
    assert clusters_at(run.task.sentence).points == "spread"


def test_the_reference_mode_labels_tokens_as_the_original_does(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path, mode=Mode.REFERENCE)
    prepared = all_steps(data, run)
    signal = prepared.signal(prepared.records[0])
    assert signal.dtype == np.float64
    record = prepared.records[0]
    lead = read_waves(run.task.segmentation, prepared, record)[0]
    # quirk 9: the first P of a beat carries the class of the beat before
    second_p = np.flatnonzero(lead.kind == 0)[1]
    assert lead.label[second_p] == 0
    sentence = sentences_of(run)[record.name]
    assert len(sentence.peaks) == 0
    assert (sentence.leads[0].beat == -1).all()


def test_the_reference_mode_refuses_what_the_original_takes_for_granted(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data"), run_in(tmp_path, mode=Mode.REFERENCE)
    write_record(data, "e5", sampling_rate_hz=250.0)
    with pytest.raises(UnusableInput, match=r"e5 has 250 Hz.*360"):
        preprocess(surveyed(data, ALONE), run)


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_task_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnusableInput, match="task_name"):
        TaskFolder.under(tmp_path, name)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPermitted, match="nothing can be written"):
        TaskFolder.under(tmp_path / "file", "Beats")
