from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.errors import Cancelled, UnusableInput
from services.models import weights
from services.models.ecgbert.family import FAMILY
from services.models.ecgbert.fine_tuning import BeatLoss, layers_of
from services.models.ecgbert.model_folder import read_model_folder
from services.models.ecgbert.network import BeatNetwork, NetworkConfig
from services.models.interface import FineTunePlan, LabelledRecord
from services.training.freezing import parameter_groups
from services.training.progress import NoProgress, Progress
from tests.services.models.ecgbert.labelled_beats import base_folder, labelled_record, plan

TRAIN = [labelled_record(1), labelled_record(2, n_leads=1)]
VALIDATION = [labelled_record(3)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return base_folder(tmp_path / "base")


def fine_tune(
    chosen: FineTunePlan,
    folder: Path,
    *,
    train: list[LabelledRecord] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    return FAMILY.fine_tune(
        train or TRAIN,
        VALIDATION,
        plan=chosen,
        workspace=folder / "work",
        out=folder / "model",
        device="cpu",
        progress=progress or NoProgress(),
    )


def same_weights(one: Path, other: Path) -> bool:
    name = "weights.safetensors"
    return (one / "model" / name).read_bytes() == (other / "model" / name).read_bytes()


def test_it_learns_beats_that_the_base_does_not_know(base: Path, tmp_path: Path) -> None:
    card = fine_tune(plan(base, epochs=12), tmp_path)
    assert card["metrics"]["validation"]["accuracy"] > 0.9
    record = labelled_record(4).record
    found = FAMILY.load(tmp_path / "model", device="cpu").predict(
        record, options={}, progress=NoProgress()
    )
    assert record.annotations is not None
    assert set(np.unique(found.label_index)) == {0, 2}
    assert abs(len(found.sample) - len(record.annotations.sample)) <= 2


class Stopping(NoProgress):
    """Asks to stop when the first epoch has been told of."""

    told = False

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.told = self.told or kind == "epoch"

    def check_cancelled(self) -> None:
        if self.told:
            raise Cancelled("enough")


def test_an_interrupted_fine_tune_ends_with_the_same_weights(base: Path, tmp_path: Path) -> None:
    fine_tune(plan(base), tmp_path / "one")
    with pytest.raises(Cancelled):
        fine_tune(plan(base), tmp_path / "other", progress=Stopping())
    torch.manual_seed(99)
    fine_tune(plan(base), tmp_path / "other")
    assert same_weights(tmp_path / "one", tmp_path / "other")


def test_all_but_the_head_can_stand_still(base: Path, tmp_path: Path) -> None:
    fine_tune(plan(base, epochs=1, freeze="encoder", average_decay=0.0), tmp_path)
    before, _, _ = read_model_folder(base)
    after, _, _ = read_model_folder(tmp_path / "model")
    for name, tensor in before.state_dict().items():
        moved = not torch.equal(tensor, after.state_dict()[name])
        assert moved == name.startswith("head"), name


def test_a_binary_model_needs_a_new_head(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="ask for head: reset"):
        fine_tune(plan(base, classes="binary"), tmp_path)
    card = fine_tune(plan(base, classes="binary", head="reset", focal_gamma=2.0), tmp_path)
    assert card["labels"] == ["normal", "abnormal"]
    _, _, labels = read_model_folder(tmp_path / "model")
    assert labels == ("normal", "abnormal")


def test_beats_of_one_class_cannot_teach(base: Path, tmp_path: Path) -> None:
    record = labelled_record(1).record
    assert record.annotations is not None
    marks = type(record.annotations)(
        record.annotations.sample, ("N",) * len(record.annotations.sample)
    )
    alike = type(record)(record.signal, record.lead_names, 360.0, annotations=marks)
    with pytest.raises(UnusableInput, match="of one class"):
        fine_tune(plan(base), tmp_path, train=[LabelledRecord("rec_1", "p", alike)])


def test_focal_loss_counts_sure_beats_less_and_weights_multiply_it() -> None:
    logits, target = torch.tensor([[4.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    plain = BeatLoss(None, gamma=0.0, smoothing=0.0)(logits, target)
    focal = BeatLoss(torch.tensor([1.0, 3.0]), gamma=2.0, smoothing=0.0)(logits, target)
    sure = torch.exp(-plain)
    assert torch.allclose(focal, plain * (1 - sure) ** 2 * torch.tensor([1.0, 3.0]))


def test_the_weights_are_those_of_the_best_epoch(base: Path, tmp_path: Path) -> None:
    card = fine_tune(plan(base, epochs=3), tmp_path)
    assert 1 <= card["best_epoch"] <= card["epochs"] == 3
    assert weights.stored_tensors(tmp_path / "model" / "weights.safetensors")


@pytest.mark.parametrize(
    ("chosen", "learning"),
    [
        ({"freeze_layers": 1}, {"norm", "head"}),  # the tiny network has one layer
        ({"freeze": "encoder"}, {"head"}),
        ({"freeze": "encoder", "freeze_updates": 1000}, {"head"}),
    ],
)
def test_what_is_frozen_stands_still(
    base: Path, tmp_path: Path, chosen: dict[str, Any], learning: set[str]
) -> None:
    fine_tune(plan(base, epochs=1, average_decay=0.0, **chosen), tmp_path)
    first, _, _ = read_model_folder(base)
    last, _, _ = read_model_folder(tmp_path / "model")
    parameters = dict(first.named_parameters())
    moved = {
        name.split(".")[0]
        for name, tensor in last.named_parameters()
        if not torch.equal(tensor, parameters[name])
    }
    assert moved == learning


def test_a_layer_learns_at_a_share_of_the_next_one_s_rate() -> None:
    network = BeatNetwork(NetworkConfig(layers=2))
    groups = parameter_groups(
        network, learning_rate=0.08, layer_decay=0.5, layers=layers_of(network.config)
    )
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    found = {name: rate[id(parameter)] for name, parameter in network.named_parameters()}
    assert found["head.weight"] == 0.08
    assert {found[name] for name in found if name.startswith("layers.1.")} == {0.04}
    assert {found[name] for name in found if name.startswith("layers.0.")} == {0.02}
    assert {found[name] for name in found if "embedding" in name} == {0.01}
