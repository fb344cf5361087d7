"""A model folder of the guide's family: weights.safetensors, clusters.npz and card.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES
from services.errors import MalformedInput, Unavailable
from services.models import weights
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.network import GuideClassifier, GuideConfig
from services.models.ecgbert.guide.sentences import GRANULARITIES
from services.models.ecgbert.guide.spec import FAMILY
from services.models.ecgbert.spec import CHUNK_TOKENS

WEIGHTS = "weights.safetensors"
CLUSTERS = "clusters.npz"
CARD = "card.json"


@dataclass(frozen=True)
class Base:
    """What a fine-tune may start from. predicts: whether it has a head of its own."""

    card: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    clusters: Clusters
    predicts: bool


def read_model_folder(folder: Path) -> tuple[GuideClassifier, Clusters, tuple[str, ...]]:
    """The network in evaluation mode, its centres and its labels.

    Raises Unavailable for a missing file, MalformedInput for one that is not what it should be.
    """
    card = _card(folder)
    if not card.get("predicts", True):
        raise Unavailable(f"{card.get('name')}: it has no head and labels nothing")
    labels, config = _labels(card), _config(card)
    if config.n_outputs != (1 if labels == BINARY_CLASSES else len(labels)):
        raise MalformedInput(f"{CARD}: {config.n_outputs} outputs, but {len(labels)} labels")
    network = GuideClassifier(config)
    weights.load_strictly(network, folder / WEIGHTS)
    return network.eval(), Clusters.load(folder / CLUSTERS), labels


def read_base(folder: Path) -> Base:
    """Any folder of this family, the imported public weights included. Errors as above."""
    card = _card(folder)
    weights.stored_tensors(folder / WEIGHTS)  # sizes are checked before memory is taken
    tensors = load_file(folder / WEIGHTS)
    return Base(card, tensors, Clusters.load(folder / CLUSTERS), bool(card.get("predicts", True)))


def write_model_folder(
    folder: Path, *, network: GuideClassifier, clusters: Clusters, card: Mapping[str, Any]
) -> None:
    """Writes the three files; the card last, so that a folder with a card is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    weights.save(network, folder / WEIGHTS)
    clusters.save(folder / CLUSTERS)
    (folder / CARD).write_text(json.dumps(dict(card), indent=2, ensure_ascii=False) + "\n")


def _card(folder: Path) -> dict[str, Any]:
    for name in (WEIGHTS, CLUSTERS, CARD):
        if not (folder / name).is_file():
            raise Unavailable(f"the model folder has no {name}; import or train the model again")
    try:
        card = json.loads((folder / CARD).read_text())
    except ValueError as problem:
        raise MalformedInput(f"{CARD}: not JSON: {problem}") from problem
    if not isinstance(card, dict) or card.get("family") != FAMILY:
        raise MalformedInput(f"{CARD}: family must be {FAMILY!r}")
    return card


def _labels(card: Mapping[str, Any]) -> tuple[str, ...]:
    labels = tuple(card.get("labels", ()))
    if labels not in (AAMI_CLASSES, BINARY_CLASSES):
        raise MalformedInput(
            f"{CARD}: labels are {labels}, expected {AAMI_CLASSES} or {BINARY_CLASSES}"
        )
    return labels


def _config(card: Mapping[str, Any]) -> GuideConfig:
    stored = card.get("architecture")
    if not isinstance(stored, dict) or set(stored) != set(GuideConfig().as_card()):
        raise MalformedInput(f"{CARD}: architecture must hold {', '.join(GuideConfig().as_card())}")
    window, outputs = stored["attention_window"], stored["n_outputs"]
    if type(window) is not int or not 1 <= window <= CHUNK_TOKENS:
        raise MalformedInput(f"{CARD}: architecture.attention_window is {window!r}")
    if type(outputs) is not int or not 1 <= outputs <= len(AAMI_CLASSES):
        raise MalformedInput(f"{CARD}: architecture.n_outputs is {outputs!r}")
    if stored["granularity"] not in GRANULARITIES:
        raise MalformedInput(f"{CARD}: architecture.granularity is {stored['granularity']!r}")
    return GuideConfig(**stored)
