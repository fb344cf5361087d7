"""From labelled records to a model folder that answers, with and without a base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.errors import Cancelled, MalformedInput, Unavailable, UnusableInput
from services.models.ecgbert.guide.family import FAMILY
from services.models.ecgbert.guide.model_folder import read_model_folder
from services.models.ecgbert.public.pretrained_folder import import_public_files
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.interface import FineTunePlan, LabelledRecord
from services.models.results import BeatResult
from services.models.spec import chosen_hyperparameters
from services.training.progress import NoProgress, Progress
from tests.services.models.ecgbert.guide.made_sentences import QUICK
from tests.services.models.ecgbert.labelled_beats import labelled_record
from tests.services.models.ecgbert.public.made_files import write_cluster_folder

TRAIN = [labelled_record(1), labelled_record(2, n_leads=1)]
VALIDATION = [labelled_record(3)]
QUIET = NoProgress()


def plan(base: Path | None = None, *, head: Any = "reset", **given: Any) -> FineTunePlan:
    known = FAMILY.spec.hyperparameters
    return FineTunePlan(base, head, chosen_hyperparameters(known, {**QUICK, **given}), seed=3)


def fine_tune(
    chosen: FineTunePlan,
    folder: Path,
    *,
    train: list[LabelledRecord] | None = None,
    progress: Progress = QUIET,
) -> dict[str, Any]:
    return FAMILY.fine_tune(
        train or TRAIN,
        VALIDATION,
        plan=chosen,
        workspace=folder / "work",
        out=folder / "model",
        device="cpu",
        progress=progress,
    )


def answers(folder: Path, labelled: LabelledRecord) -> BeatResult:
    predictor = FAMILY.load(folder / "model", device="cpu")
    return predictor.predict(labelled.record, options={}, progress=QUIET)


class Stopping(NoProgress):
    """Asks to stop when something has been told."""

    def __init__(self, stage: str) -> None:
        self.stage, self.told = stage, False

    def advance(self, fraction: float, *, stage: str = "") -> None:
        self.told = self.told or stage == self.stage

    def check_cancelled(self) -> None:
        if self.told:
            raise Cancelled("enough")


def test_a_model_from_drawn_weights_answers_what_it_has_learned(tmp_path: Path) -> None:
    card = fine_tune(plan(epochs=15), tmp_path)
    assert (card["family"], card["task"]) == ("ecgbert-guide", "beats")
    assert card["granularity"] == card["architecture"]["granularity"] == "wave"
    labelled = labelled_record(4)
    found = answers(tmp_path, labelled)
    reference = labelled.record.annotations
    assert reference is not None
    assert len(found.sample) == pytest.approx(len(reference.sample), abs=2)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    assert (found.probabilities.argmax(axis=1) == found.label_index).all()
    share_v = np.mean(np.array(reference.symbol) == "V")
    assert found.counts()["V"] == pytest.approx(share_v * len(found.sample), abs=4)


@pytest.mark.parametrize("stage", ["reading records", "training"])
def test_a_fine_tune_that_was_stopped_ends_with_the_same_weights(
    tmp_path: Path, stage: str
) -> None:
    chosen = plan(epochs=2)
    fine_tune(chosen, tmp_path / "one")
    with pytest.raises(Cancelled):
        fine_tune(chosen, tmp_path / "other", progress=Stopping(stage))
    torch.manual_seed(99)
    fine_tune(chosen, tmp_path / "other")
    one, other = (tmp_path / name / "model" / "weights.safetensors" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_a_binary_model_answers_normal_or_abnormal(tmp_path: Path) -> None:
    card = fine_tune(plan(classes="binary", epochs=1), tmp_path)
    assert card["labels"] == ["normal", "abnormal"]
    assert card["architecture"]["n_outputs"] == 1
    found = answers(tmp_path, labelled_record(4))
    assert found.labels == ("normal", "abnormal")
    assert found.probabilities.shape == (len(found.sample), 2)


def test_a_base_gives_its_clusters_and_where_asked_its_head(tmp_path: Path) -> None:
    fine_tune(plan(epochs=1), tmp_path / "base")
    base = tmp_path / "base" / "model"
    fine_tune(plan(base, head="keep", epochs=1, learning_rate=1e-6), tmp_path / "kept")
    _, clusters, _ = read_model_folder(base)
    network, same, _ = read_model_folder(tmp_path / "kept" / "model")
    for one, other in zip(clusters.centroids, same.centroids, strict=True):
        np.testing.assert_array_equal(one, other)
    before = read_model_folder(base)[0].head[0].weight
    torch.testing.assert_close(network.head[0].weight, before, atol=1e-4, rtol=0)
    with pytest.raises(UnusableInput, match="ask for head: reset"):
        fine_tune(plan(base, head="keep", classes="binary"), tmp_path / "other")


def test_the_public_weights_are_a_base_and_their_clusters_stay(tmp_path: Path) -> None:
    torch.manual_seed(3)
    torch.save(GuideNetwork().state_dict(), tmp_path / "public.pth")
    write_cluster_folder(tmp_path / "clusters")
    base = tmp_path / "base"
    import_public_files(tmp_path / "public.pth", clusters=tmp_path / "clusters", into=base)
    with pytest.raises(Unavailable, match="ecgbert-public: it has no head and labels nothing"):
        FAMILY.load(base, device="cpu")
    card = fine_tune(plan(base, epochs=1, train_embedding=False), tmp_path)
    assert card["name"] == "ecgbert-guide"
    network, clusters, _ = read_model_folder(tmp_path / "model")
    assert clusters.points == "first"
    public = torch.load(tmp_path / "public.pth", weights_only=True)["token_embedding.weight"]
    assert torch.equal(network.token_embedding.weight[0], public[4])  # the guide's p0
    assert len(answers(tmp_path, labelled_record(4)).sample) > 50


def test_another_rate_gives_peaks_in_the_record_s_own(tmp_path: Path) -> None:
    fine_tune(plan(epochs=1), tmp_path)
    labelled = labelled_record(4).record
    every_second = type(labelled)(labelled.signal[:, ::2], labelled.lead_names, 180.0)
    found = answers(tmp_path, LabelledRecord("r", "p", every_second))
    assert labelled.annotations is not None
    at = labelled.annotations.sample / 2
    nearest = np.abs(found.sample[:, None] - at[None, :]).min(axis=1)
    assert np.median(nearest) <= 4
    assert found.sampling_rate_hz == 180.0


def test_a_record_without_annotations_is_named(tmp_path: Path) -> None:
    record = labelled_record(1).record
    silent = LabelledRecord(
        "rec_1", "p", type(record)(record.signal, record.lead_names, 360.0, name="silent")
    )
    with pytest.raises(UnusableInput, match="record silent: there are no annotations"):
        fine_tune(plan(), tmp_path, train=[silent])


def test_a_card_that_says_something_else_is_refused(tmp_path: Path) -> None:
    fine_tune(plan(epochs=1), tmp_path)
    path = tmp_path / "model" / "card.json"
    card = json.loads(path.read_text())
    for change, message in (
        ({"labels": ["a", "b"]}, "labels are"),
        ({"family": "ecgbert"}, "family must be 'ecgbert-guide'"),
        ({"architecture": {**card["architecture"], "attention_window": 0}}, "attention_window"),
        ({"architecture": {**card["architecture"], "granularity": "beat"}}, "granularity"),
        ({"architecture": {**card["architecture"], "n_outputs": 1}}, "1 outputs, but 5 labels"),
        ({"architecture": {}}, "must hold n_outputs"),
    ):
        path.write_text(json.dumps(card | change))
        with pytest.raises(MalformedInput, match=message):
            FAMILY.load(tmp_path / "model", device="cpu")
    path.write_text("{")
    with pytest.raises(MalformedInput, match="not JSON"):
        FAMILY.load(tmp_path / "model", device="cpu")
    path.unlink()
    with pytest.raises(Unavailable, match=r"no card\.json"):
        FAMILY.load(tmp_path / "model", device="cpu")


def test_options_are_those_of_the_spec(tmp_path: Path) -> None:
    fine_tune(plan(epochs=1), tmp_path)
    predictor = FAMILY.load(tmp_path / "model", device="cpu")
    record = labelled_record(4).record
    for options in ({"leads": 2}, {"rpeaks": "mine"}):
        with pytest.raises(UnusableInput, match="options"):
            predictor.predict(record, options=options, progress=QUIET)
