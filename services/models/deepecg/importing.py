"""How a published file becomes a model folder: weights.safetensors and a card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from services.errors import UnusableInput
from services.models import weights
from services.models.deepecg.card import CARD, new_card
from services.models.deepecg.checkpoint import (
    PUBLISHED,
    Layout,
    PublicCheckpoint,
    network_from,
    read_checkpoint,
)
from services.models.deepecg.network import NetworkConfig

WEIGHTS = "weights.safetensors"
DEFAULT_NAME = "deepecg-afib-5y"
# fourth moment over the squared second: 1.8 for uniform numbers, 3 for normal ones, more for
# matrices that training has shaped
_UNIFORM_KURTOSIS = 2.2
_CHUNK = 1 << 20


def import_classifier(
    file: Path,
    *,
    into: Path,
    name: str = DEFAULT_NAME,
    synthetic: bool = False,
    config: NetworkConfig = PUBLISHED,
) -> dict[str, Any]:
    """Reads wcr_afib_5y.pt, writes a model folder, and returns its card.

    synthetic: say so where the weights are known to be made up; those that show it themselves
    (see `look_untrained`) are marked in any case. Raises UnusableInput for base_ssl.pt, which has
    no head and so no risk; the errors of `read_checkpoint` otherwise.
    """
    checkpoint = read_checkpoint(file, config=config)
    if checkpoint.layout is Layout.BASE_SSL:
        raise UnusableInput(
            f"{file.name}: this is the pre-trained model, which has no head and gives no risk; "
            "import wcr_afib_5y.pt, or fine-tune from this file"
        )
    network = network_from(checkpoint, config=config)
    card = new_card(
        name=name,
        network=config,
        source=_source(file, checkpoint),
        synthetic=synthetic or look_untrained(checkpoint.tensors),
    )
    into.mkdir(parents=True, exist_ok=True)
    weights.save(network, into / WEIGHTS)
    (into / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card


def look_untrained(tensors: dict[str, Tensor]) -> bool:
    """Whether the weights were drawn and never trained: uniform matrices, or untouched norms.

    Checkpoints made by a formula are uniform throughout; the published network starts its
    feed-forward matrices from normal numbers and no training makes them uniform.
    """
    matrices = [t for name, t in tensors.items() if name.endswith((".fc1.weight", ".fc2.weight"))]
    norms = [t for name, t in tensors.items() if name.endswith("layer_norm.weight")]
    uniform = all(_kurtosis(matrix) < _UNIFORM_KURTOSIS for matrix in matrices)
    return uniform or all(bool((norm == 1).all()) for norm in norms)


def sha256_of(file: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _kurtosis(matrix: Tensor) -> float:
    values = matrix.detach().to(torch.float32).flatten()
    centred = values - values.mean()
    second = float(centred.square().mean())
    return float(centred.pow(4).mean()) / second**2 if second > 0 else 0.0


def _source(file: Path, checkpoint: PublicCheckpoint) -> dict[str, Any]:
    return {
        "file": file.name,
        "sha256": sha256_of(file),
        "layout": checkpoint.layout.value,
        "stored_as": str(checkpoint.dtype).removeprefix("torch."),
        "paper": "Nolin-Lapalme et al., European Heart Journal 2026, ehaf1119",
        "published_auroc": {"internal": 0.742, "external": 0.764},
    }
