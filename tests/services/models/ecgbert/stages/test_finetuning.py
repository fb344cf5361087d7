"""The four steps in a row: what they leave, that they go on, what they refuse before any work."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from services.ecg.readers.files import record_from_path
from services.errors import (
    EctopyError,
    MalformedInput,
    NotFound,
    NotPermitted,
    StateConflict,
    UnusableInput,
)
from services.evaluation.beats import LabelledBeats, record_confusion
from services.models.ecgbert.guide.family import FAMILY
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.ecgbert.stages import finetuning
from services.models.ecgbert.stages.finetuning import FineTuneRequest, fine_tune
from services.models.ecgbert.stages.settings import Mode, StageSettings
from services.models.results import BeatResult
from services.training.progress import NoProgress, Progress
from tests.services.models.ecgbert.public.made_files import write_cluster_folder
from tests.services.models.ecgbert.stages.made_dataset import write_dataset, write_record
from tests.services.models.ecgbert.tiny import made_record, tiny_clusters

FAST = {"epochs": 2, "attention_window": 64}


@pytest.fixture
def request_(tmp_path: Path) -> FineTuneRequest:
    torch.manual_seed(2)
    torch.save(GuideNetwork().state_dict(), tmp_path / "public.pth")
    write_cluster_folder(tmp_path / "clusters")
    return FineTuneRequest(
        records=write_dataset(tmp_path / "data"),
        output_dir=tmp_path / "out",
        task_name="Beats",
        pretrained=tmp_path / "public.pth",
        clustering=tmp_path / "clusters",
        hyperparameters=FAST,
    )


def run(request: FineTuneRequest, *, progress: Progress | None = None) -> dict[str, Any]:
    return fine_tune(request, jobs=1, device="cpu", progress=progress or NoProgress())


def results(request: FineTuneRequest) -> Path:
    return request.output_dir / request.task_name / "results"


def test_the_model_that_is_left_labels_beats(request_: FineTuneRequest) -> None:
    run(request_)
    predictor = FAMILY.load(results(request_) / "model", device="cpu")
    record, peaks = made_record()
    found = predictor.predict(record, options={}, progress=NoProgress())
    assert isinstance(found, BeatResult)
    np.testing.assert_allclose(found.sample, peaks, atol=2)


def test_a_prediction_labels_beats_exactly_as_the_figures_say(request_: FineTuneRequest) -> None:
    write_record(request_.records, "e5", sampling_rate_hz=250.0)
    figures = run(replace(request_, settings=StageSettings(validation=("b2", "e5"))))
    predictor = FAMILY.load(results(request_) / "model", device="cpu")
    matrices = []
    for name in ("b2", "e5"):
        record = record_from_path(request_.records / name)
        found = predictor.predict(record, options={}, progress=NoProgress())
        assert record.annotations is not None
        beats = LabelledBeats(found.sample, found.label_index)
        rate_hz = record.sampling_rate_hz
        matrices.append(record_confusion(record.annotations, beats, sampling_rate_hz=rate_hz))
    total = np.sum(matrices, axis=0)
    assert figures["models"][0]["confusion"]["counts"] == total.tolist()


def test_figures_are_of_the_patients_that_validate_by_record_and_by_patient(
    request_: FineTuneRequest,
) -> None:
    settings = replace(request_.settings, validation=("b2", "c3"))
    figures = run(replace(request_, settings=settings))
    assert (figures["records"], figures["beats"]) == (2, 48)
    folder = results(request_)
    with (folder / "by_patient.csv").open() as stream:
        by_patient = list(csv.DictReader(stream))
    assert [(row["patient"], row["beats"]) for row in by_patient] == [("b2", "24"), ("c3", "24")]
    with (folder / "confusion.csv").open() as stream:
        matrix = list(csv.reader(stream))
    assert sum(int(cell) for row in matrix[1:-1] for cell in row[1:]) == 48
    assert (folder / "report.html").read_text().lower().startswith("<!doctype html>")


def test_a_run_that_was_killed_while_training_ends_at_the_same_weights(
    request_: FineTuneRequest, tmp_path: Path
) -> None:
    run(request_)
    cut = replace(request_, output_dir=tmp_path / "cut")

    class Killing(NoProgress):
        def event(self, kind: str, data: dict[str, Any]) -> None:
            if kind == "checkpoint" and data["kind"] == "last":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cut, progress=Killing())
    assert not (results(cut) / "model").exists()
    run(cut)
    one, other = (load_file(results(r) / "model" / "weights.safetensors") for r in (request_, cut))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_run_is_not_done_again_and_more_epochs_go_on(
    request_: FineTuneRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = run(request_)
    with monkeypatch.context() as patched:
        patched.setattr(finetuning, "trained_classifier", lambda *_, **__: pytest.fail("again"))
        assert run(request_) == figures
    more = run(replace(request_, hyperparameters=FAST | {"epochs": 3}))
    assert more["history"][:2] == figures["history"]
    assert more["epochs"] == 3


def test_results_within_the_folder_of_records_are_no_records(request_: FineTuneRequest) -> None:
    inside = replace(request_, output_dir=request_.records)
    figures = run(inside)
    assert run(inside) == figures


def test_another_recipe_begins_anew(request_: FineTuneRequest) -> None:
    run(request_)
    other = run(replace(request_, hyperparameters=FAST | {"learning_rate": 0.01}))
    assert other["epochs"] == 2
    card = json.loads((results(request_) / "model" / "card.json").read_text())
    assert card["hyperparameters"]["learning_rate"] == 0.01


def test_the_guides_weight_files_are_written_and_can_be_started_from(
    request_: FineTuneRequest,
) -> None:
    run(replace(request_, settings=replace(request_.settings, pickle=True)))
    for name in ("emb_model_2_results.pth", "fine_tune_model_2_results.pth"):
        tensors = torch.load(results(request_) / name, weights_only=True)
        assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
    again = replace(request_, pretrained=results(request_) / "model", task_name="Again")
    assert run(again)["epochs"] == 2  # a model that was fine-tuned is a base too


def test_two_classes_have_one_output(request_: FineTuneRequest) -> None:
    run(replace(request_, settings=replace(request_.settings, binary=True)))
    card = json.loads((results(request_) / "model" / "card.json").read_text())
    assert card["labels"] == ["normal", "abnormal"]
    assert card["architecture"]["n_outputs"] == 1


def test_one_token_a_sample(request_: FineTuneRequest) -> None:
    write = replace(request_, hyperparameters=FAST | {"epochs": 1, "granularity": "sample"})
    assert run(write)["beats"] == 24
    card = json.loads((results(request_) / "model" / "card.json").read_text())
    assert card["granularity"] == "sample"


def test_the_reference_mode_leaves_the_originals_figures_and_no_model_to_predict_with(
    request_: FineTuneRequest,
) -> None:
    figures = run(replace(request_, settings=StageSettings(mode=Mode.REFERENCE)))
    assert set(figures["tokens"]) == {"accuracy", "precision", "recall", "specificity"}
    assert [file.name for file in (results(request_) / "model").iterdir()] == [
        "weights.safetensors"
    ]


def test_without_weights_and_clusters_it_starts_from_nothing(request_: FineTuneRequest) -> None:
    run(replace(request_, pretrained=None, clustering=None))
    card = json.loads((results(request_) / "model" / "card.json").read_text())
    assert card["base"] == {"name": "random weights", "sha256": None}


def _wrong_width(folder: Path) -> Path:
    state = GuideNetwork().state_dict()
    state["token_embedding.weight"] = torch.zeros(75, 64)
    torch.save(state, folder / "wide.pth")
    return folder / "wide.pth"


def _wrong_vocabulary(folder: Path) -> Path:
    state = GuideNetwork().state_dict()
    state["token_embedding.weight"] = torch.zeros(100, 32)
    torch.save(state, folder / "other.pth")
    return folder / "other.pth"


def _five_clusters(folder: Path) -> Path:
    centers = tiny_clusters().centroids
    arrays = dict(zip(("P", "QRS", "T", "BG"), (centers[0][:5], *centers[1:]), strict=True))
    np.savez(folder / "five.npz", **arrays)
    return folder / "five.npz"


BAD: dict[str, tuple[dict[str, Any], type[EctopyError], str]] = {
    "no weights": ({"pretrained": "data"}, NotFound, r"looked for emb_model_1_results\.pth"),
    "no such weights": ({"pretrained": "nowhere"}, NotFound, "pretrained_model_path"),
    "no such clusters": ({"clustering": "nowhere"}, NotFound, "clustering_dir"),
    "another width": ({"pretrained": _wrong_width}, MalformedInput, "width 32"),
    "another vocabulary": ({"pretrained": _wrong_vocabulary}, MalformedInput, "vocabulary 75"),
    "five clusters": ({"clustering": _five_clusters}, MalformedInput, r"expected \(12, 10\)"),
    "no such folder": ({"records": "nowhere"}, NotFound, "nowhere"),
    "a file in the way": ({"output_dir": "public.pth"}, NotPermitted, "nothing can be written"),
    "unknown number": ({"hyperparameters": {"epoch": 3}}, UnusableInput, "epoch"),
    "out of range": ({"hyperparameters": {"epochs": 0}}, UnusableInput, "epochs"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_work_is_refused_before_any_work(
    request_: FineTuneRequest, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, error, message = BAD[case]
    made = {
        name: value
        if isinstance(value, dict)
        else (value(tmp_path) if callable(value) else tmp_path / value)
        for name, value in changes.items()
    }
    monkeypatch.setattr(finetuning, "preprocess", lambda *_: pytest.fail("work was spent"))
    with pytest.raises(error, match=message):
        run(replace(request_, **made))


def test_the_reference_mode_needs_clusters_and_wave_tokens(request_: FineTuneRequest) -> None:
    reference = replace(request_, settings=StageSettings(mode=Mode.REFERENCE))
    with pytest.raises(UnusableInput, match="clustering_dir"):
        run(replace(reference, clustering=None))
    with pytest.raises(UnusableInput, match="granularity must be wave"):
        run(replace(reference, hyperparameters={"granularity": "sample"}))


def test_the_reference_mode_starts_from_the_public_files_alone(request_: FineTuneRequest) -> None:
    run(request_)
    reference = replace(request_, settings=StageSettings(mode=Mode.REFERENCE))
    with pytest.raises(UnusableInput, match="starts from the public files"):
        run(replace(reference, pretrained=results(request_) / "model"))


def test_a_class_that_only_one_side_of_the_split_has_is_told(request_: FineTuneRequest) -> None:
    write_record(request_.records, "a1", symbols="NAVF")
    write_record(request_.records, "b2", symbols="NAVQ")
    settings = StageSettings(validation=("b2", "c3", "d4"))
    figures = run(replace(request_, settings=settings))
    assert figures["cautions"][1:2] == [
        "no patient that trains has a beat of class Q: it was not learned"
    ]


def test_a_missing_class_is_refused_before_any_work(
    request_: FineTuneRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a1", "b2", "c3", "d4"):
        write_record(request_.records, name, symbols="NAV")
    monkeypatch.setattr(finetuning, "preprocess", lambda *_: pytest.fail("work was spent"))
    with pytest.raises(UnusableInput, match="no beat of class F, Q"):
        run(request_)


def test_a_folder_with_files_of_somebody_else_stays_as_it_is(request_: FineTuneRequest) -> None:
    folder = request_.output_dir / "Beats" / "ECG_Preprocessing"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(StateConflict):
        run(request_)
    assert [file.name for file in folder.iterdir()] == ["mine.txt"]
