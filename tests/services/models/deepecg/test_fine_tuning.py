"""The three starts, what stands still, resuming, and the head that learns alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from services.errors import Cancelled, UnusableInput
from services.models.deepecg.family import FAMILY
from services.models.deepecg.fine_tuning import engine_plan, layers_of, started
from services.models.deepecg.importing import import_public
from services.models.deepecg.spec import FAMILY_SPEC, THRESHOLD
from services.models.interface import FineTunePlan, LabelledRecord
from services.models.spec import chosen_hyperparameters
from services.training.progress import NoProgress, Progress
from tests.services.models.deepecg.labelled import TRAIN, VALIDATION, labelled_record, plan
from tests.services.models.deepecg.small import (
    SMALL,
    base_tensors,
    classifier_tensors,
    saved,
    small_network,
)

WEIGHTS = "weights.safetensors"


@pytest.fixture
def base_ssl(tmp_path: Path) -> Path:
    file = saved(tmp_path / "base_ssl.pt", base_tensors(small_network()))
    import_public(file, into=tmp_path / "base", config=SMALL)
    return tmp_path / "base"


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    file = saved(tmp_path / "wcr_afib_5y.pt", classifier_tensors(small_network()))
    import_public(file, into=tmp_path / "classifier", config=SMALL)
    return tmp_path / "classifier"


def fine_tune(
    chosen: FineTunePlan,
    folder: Path,
    *,
    train: list[LabelledRecord] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    return FAMILY.fine_tune(
        TRAIN if train is None else train,
        VALIDATION,
        plan=chosen,
        workspace=folder / "work",
        out=folder / "model",
        device="cpu",
        progress=progress or NoProgress(),
    )


def tensors(folder: Path) -> Mapping[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def moved(before: Path, after: Path) -> set[str]:
    """The parts of the network that learned: prefixes of two or three words."""
    first, last = tensors(before), tensors(after)
    changed = [
        name for name in last if name not in first or not torch.equal(first[name], last[name])
    ]
    return {
        name.split(".")[0] if name.startswith("proj") else name.split(".")[1] for name in changed
    }


def test_a_pretrained_base_with_a_new_head_learns_the_outcome(
    base_ssl: Path, tmp_path: Path
) -> None:
    card = fine_tune(plan(base_ssl, epochs=15), tmp_path)
    assert card["metrics"]["validation"]["auroc"] > 0.95
    predictor = FAMILY.load(tmp_path / "model", device="cpu")
    results = [
        predictor.predict(labelled_record(seed).record, options={}, progress=NoProgress())
        for seed in (201, 202)
    ]
    assert [result.label for result in results] == ["high", "low"]
    assert results[0].calibrated
    assert results[0].threshold == card["threshold"]["value"] != THRESHOLD
    assert "validation records" in card["threshold"]["source"]


def test_the_three_starts(base_ssl: Path, classifier: Path) -> None:
    _, fresh = started(plan(base_ssl))
    _, kept = started(plan(classifier, head="keep"))
    _, reset = started(plan(classifier, head="reset"))
    original = small_network()
    backbone = original.encoder.state_dict()
    for network in (fresh, kept, reset):
        for name, tensor in network.encoder.state_dict().items():
            assert torch.equal(tensor, backbone[name])
    assert torch.equal(kept.proj.weight, original.proj.weight)
    assert torch.equal(fresh.proj.weight, reset.proj.weight)  # drawn from the same seed
    assert not torch.equal(fresh.proj.weight, original.proj.weight)
    assert torch.equal(reset.proj.bias, torch.zeros(1))
    _, other = started(plan(classifier, head="reset", seed=4))
    assert not torch.equal(other.proj.weight, reset.proj.weight)


def test_the_pretrained_model_has_no_head_to_keep(base_ssl: Path) -> None:
    with pytest.raises(UnusableInput, match="no head to keep"):
        started(plan(base_ssl, head="keep"))


def test_without_a_base_there_is_nothing_to_start_from() -> None:
    with pytest.raises(UnusableInput, match="base_ssl or wcr_afib_5y"):
        started(plan(None))


def test_the_defaults_are_the_published_recipe() -> None:
    chosen = chosen_hyperparameters(FAMILY_SPEC.hyperparameters, {})
    assert (chosen["learning_rate"], chosen["batch"], chosen["epochs"]) == (5e-5, 128, 100)
    assert (chosen["loss"], chosen["focal_alpha"], chosen["focal_gamma"]) == ("focal", 0.25, 2.0)
    assert (chosen["activation_dropout"], chosen["patience"]) == (0.1, 30)
    told = engine_plan(chosen, seed=1, device="cpu")
    assert (told.monitor, told.gradient_norm, told.precision) == ("validation_loss", None, "off")
    assert [each.pattern for each in told.freeze] == ["encoder.feature_extractor.*"]
    assert engine_plan(chosen, seed=1, device="cuda:0").precision == "fp16"


@pytest.mark.parametrize(
    ("freeze", "learning"),
    [
        ("extractor", {"proj", "encoder", "post_extract_proj", "conv_pos", "layer_norm"}),
        (
            "none",
            {"proj", "encoder", "post_extract_proj", "conv_pos", "layer_norm", "feature_extractor"},
        ),
        ("backbone", {"proj"}),
    ],
)
def test_what_is_frozen_stands_still(
    classifier: Path, tmp_path: Path, freeze: str, learning: set[str]
) -> None:
    fine_tune(plan(classifier, head="keep", epochs=1, freeze=freeze), tmp_path)
    assert moved(classifier, tmp_path / "model") == learning


def test_the_first_layers_stand_still_with_all_before_them(
    classifier: Path, tmp_path: Path
) -> None:
    fine_tune(plan(classifier, epochs=1, freeze="none", freeze_layers=1), tmp_path)
    assert moved(classifier, tmp_path / "model") == {"proj", "encoder"}
    first, last = tensors(classifier), tensors(tmp_path / "model")
    learned = {n for n in last if "layers." in n and not torch.equal(first[n], last[n])}
    assert {name.split("layers.")[1][0] for name in learned} == {"1"}


def test_what_is_frozen_for_some_updates_learns_afterwards(
    classifier: Path, tmp_path: Path
) -> None:
    name = "encoder.feature_extractor.conv_layers.1.0.weight"
    for updates, learns in ((1, True), (1000, False)):
        folder = tmp_path / str(updates)
        fine_tune(plan(classifier, epochs=1, freeze="backbone", freeze_updates=updates), folder)
        still = torch.equal(tensors(folder / "model")[name], tensors(classifier)[name])
        assert still is not learns


def test_what_is_frozen_for_an_epoch_learns_afterwards(classifier: Path, tmp_path: Path) -> None:
    chosen = plan(classifier, epochs=2, freeze="backbone", freeze_epochs=1, patience=5)
    fine_tune(chosen, tmp_path)
    last = load_file(tmp_path / "work" / "run" / "last.safetensors")
    name = "encoder.feature_extractor.conv_layers.1.0.weight"
    assert not torch.equal(last[f"network.{name}"], tensors(classifier)[name])


class Stopping(NoProgress):
    """Asks to stop when the first epoch has been told of."""

    told = False

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.told = self.told or kind == "epoch"

    def check_cancelled(self) -> None:
        if self.told:
            raise Cancelled("enough")


@pytest.mark.parametrize("freeze", ["extractor", "backbone"])
def test_an_interrupted_fine_tune_ends_with_the_same_weights(
    classifier: Path, tmp_path: Path, freeze: str
) -> None:
    chosen = plan(classifier, freeze=freeze, epochs=3)
    fine_tune(chosen, tmp_path / "one")
    with pytest.raises(Cancelled):
        fine_tune(chosen, tmp_path / "other", progress=Stopping())
    torch.manual_seed(99)
    fine_tune(chosen, tmp_path / "other")
    one, other = (tmp_path / each / "model" / WEIGHTS for each in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_a_head_that_learns_alone_learns_what_it_would_behind_the_whole_network(
    classifier: Path, tmp_path: Path
) -> None:
    """Frozen by a freeze of more epochs than there are, the whole network runs each time."""
    chosen = plan(classifier, freeze="backbone", epochs=3, activation_dropout=0.0)
    whole = replace(chosen, hyperparameters=dict(chosen.hyperparameters) | {"freeze_epochs": 100})
    alone_card = fine_tune(chosen, tmp_path / "alone")
    whole_card = fine_tune(whole, tmp_path / "whole")
    alone, other = tensors(tmp_path / "alone" / "model"), tensors(tmp_path / "whole" / "model")
    assert set(alone) == set(other)
    assert torch.allclose(alone["proj.weight"], other["proj.weight"], atol=1e-5)
    assert alone_card["metrics"]["validation"] == pytest.approx(
        whole_card["metrics"]["validation"], abs=1e-4
    )


def test_features_of_a_head_are_computed_once(classifier: Path, tmp_path: Path) -> None:
    chosen = plan(classifier, freeze="backbone", epochs=2)
    fine_tune(chosen, tmp_path)
    pooled = np.fromfile(tmp_path / "work" / "train-pooled" / "pooled", np.float32)
    assert pooled.shape == (len(TRAIN) * SMALL.width,)
    with torch.inference_mode():
        signal = torch.from_numpy(TRAIN[0].record.signal[None])
        expected = small_network().pooled(signal)[0].numpy()
    np.testing.assert_allclose(pooled[: SMALL.width], expected, atol=1e-5)


def test_layers_are_named_from_the_input_to_the_output() -> None:
    network = small_network()
    prefixes = layers_of(network)
    names = [name for name, _ in network.named_parameters() if not name.startswith("proj.")]
    for name in names:
        assert sum(name.startswith(prefix) for prefix in prefixes) == 1
    assert prefixes[-1] == "encoder.encoder.layers.1."


def test_a_record_that_cannot_be_read_is_left_out_and_told_of(
    classifier: Path, tmp_path: Path
) -> None:
    class Told(NoProgress):
        messages: list[str]

        def event(self, kind: str, data: dict[str, Any]) -> None:
            if kind == "log":
                self.messages.append(data["message"])

    flat = labelled_record(1)
    signal = flat.record.signal.copy()
    signal[3] = 0.0
    bad = replace(flat, record_id="rec_flat", record=replace(flat.record, signal=signal))
    told = Told()
    told.messages = []
    chosen = plan(classifier, epochs=1, freeze="backbone")
    card = fine_tune(chosen, tmp_path, train=[*TRAIN, bad], progress=told)
    assert card["training_records_left_out"] == 1
    assert any("rec_flat" in message and "aVR is flat" in message for message in told.messages)


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ([replace(TRAIN[0], label=None)], "has the label None"),
        ([replace(TRAIN[0], label=0.5)], "has the label 0.5"),
        ([record for record in TRAIN if record.label == 0.0], "the same label"),
        ([], "no record of the training patients"),
    ],
)
def test_records_that_cannot_teach_are_refused(
    classifier: Path, tmp_path: Path, train: list[LabelledRecord], words: str
) -> None:
    with pytest.raises(UnusableInput, match=words):
        fine_tune(plan(classifier), tmp_path, train=train)


def test_a_long_record_teaches_as_many_windows_as_are_asked_for(
    classifier: Path, tmp_path: Path
) -> None:
    train = [labelled_record(0, duration_s=45.0), labelled_record(1)]
    fine_tune(plan(classifier, epochs=1, windows=3), tmp_path, train=train)
    record = np.fromfile(tmp_path / "work" / "train" / "record", np.int64)
    assert record.tolist() == [0, 0, 0, 1]


def test_too_few_validation_records_leave_the_published_operating_point(
    classifier: Path, tmp_path: Path
) -> None:
    card = FAMILY.fine_tune(
        TRAIN,
        VALIDATION[:4],
        plan=plan(classifier, epochs=1, freeze="backbone"),
        workspace=tmp_path / "work",
        out=tmp_path / "model",
        device="cpu",
        progress=NoProgress(),
    )
    assert (card["threshold"]["value"], card["calibration"]) == (THRESHOLD, None)


def test_weights_that_were_made_up_stay_marked(classifier: Path, tmp_path: Path) -> None:
    card = fine_tune(plan(classifier, epochs=1, freeze="backbone"), tmp_path)
    assert card["synthetic"] is True
