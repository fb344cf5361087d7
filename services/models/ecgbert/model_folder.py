"""What a model folder holds: weights.safetensors, clusters.npz, card.json and CARD.md."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES
from services.errors import MalformedInput, Unavailable
from services.models import weights
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.network import BeatNetwork, NetworkConfig
from services.models.ecgbert.spec import FAMILY

WEIGHTS = "weights.safetensors"
CLUSTERS = "clusters.npz"
CARD = "card.json"
_LARGEST = 4096  # of any number in the architecture of a card


def read_model_folder(folder: Path) -> tuple[BeatNetwork, Clusters, tuple[str, ...]]:
    """The network, its clusters and its labels.

    Raises Unavailable for a missing file, MalformedInput for one that is not what it should be.
    """
    for name in (WEIGHTS, CLUSTERS, CARD):
        if not (folder / name).is_file():
            raise Unavailable(f"the model folder has no {name}; import or train the model again")
    card = _card(folder / CARD)
    labels, config = _labels(card), _config(card)
    if config.n_classes != len(labels):
        raise MalformedInput(f"{CARD}: {config.n_classes} classes, but {len(labels)} labels")
    network = BeatNetwork(config)
    weights.load_strictly(network, folder / WEIGHTS)
    return network.eval(), Clusters.load(folder / CLUSTERS), labels


def write_model_folder(
    folder: Path, *, network: BeatNetwork, clusters: Clusters, card: dict[str, Any]
) -> None:
    """Writes the three files; the card last, so that a folder with a card is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    weights.save(network, folder / WEIGHTS)
    clusters.save(folder / CLUSTERS)
    write_card(folder, card)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """card.json of a model folder."""
    (folder / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text())
    except ValueError as problem:
        raise MalformedInput(f"{path.name}: not JSON: {problem}") from problem
    if not isinstance(card, dict) or card.get("family") != FAMILY:
        raise MalformedInput(f"{path.name}: family must be {FAMILY!r}")
    return card


def _config(card: dict[str, Any]) -> NetworkConfig:
    stored: Any = card.get("architecture")
    known: dict[str, type] = {field.name: type(field.default) for field in fields(NetworkConfig)}
    if not isinstance(stored, dict) or set(stored) - set(known):
        raise MalformedInput(f"{CARD}: architecture may hold {', '.join(known)} only")
    for name, value in dict[str, Any](stored).items():
        right_type = type(value) is known[name]
        if not right_type or not 0 <= value <= _LARGEST:
            raise MalformedInput(f"{CARD}: architecture.{name} is {value!r}")
    return NetworkConfig(**stored)


def _labels(card: dict[str, Any]) -> tuple[str, ...]:
    labels = tuple(card.get("labels", ()))
    if labels not in (AAMI_CLASSES, BINARY_CLASSES):
        raise MalformedInput(f"{CARD}: labels are {labels}, expected {AAMI_CLASSES}")
    return labels
