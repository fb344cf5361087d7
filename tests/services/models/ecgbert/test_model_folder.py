from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from services.ecg.labels import AAMI_CLASSES
from services.errors import MalformedInput, Unavailable
from services.models.ecgbert.model_folder import read_model_folder, write_model_folder
from tests.services.models.ecgbert.tiny import TINY, tiny_clusters, tiny_network

CARD: dict[str, Any] = {
    "family": "ecgbert",
    "labels": list(AAMI_CLASSES),
    "architecture": TINY.as_card(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model_folder(tmp_path, network=tiny_network(), clusters=tiny_clusters(), card=CARD)
    return tmp_path


def test_a_written_folder_is_read_back(folder: Path) -> None:
    network, _, labels = read_model_folder(folder)
    assert labels == AAMI_CLASSES
    assert network.config == TINY
    for name, tensor in tiny_network().state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


@pytest.mark.parametrize("name", ["weights.safetensors", "clusters.npz", "card.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(Unavailable, match=name):
        read_model_folder(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"family": "other"}, "family must be"),
        ({"labels": ["N", "V"]}, "labels are"),
        ({"labels": ["normal", "abnormal"]}, "5 classes, but 2 labels"),
        ({"architecture": {"wings": 2}}, "architecture may hold"),
        ({"architecture": TINY.as_card() | {"width": 10**9}}, "architecture.width"),
        ({"architecture": TINY.as_card() | {"layers": "many"}}, "architecture.layers"),
    ],
)
def test_a_card_that_is_not_of_this_family_says_which_field(
    folder: Path, change: dict[str, Any], said: str
) -> None:
    (folder / "card.json").write_text(json.dumps(CARD | change))
    with pytest.raises(MalformedInput, match=said):
        read_model_folder(folder)


def test_weights_of_another_width_are_refused(folder: Path) -> None:
    wider = TINY.as_card() | {"width": 16}
    (folder / "card.json").write_text(json.dumps(CARD | {"architecture": wider}))
    with pytest.raises(MalformedInput, match=r"expected torch\.float32"):
        read_model_folder(folder)
