"""How a published file becomes a model folder: weights.safetensors and a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from services.errors import UnusableInput
from services.models import weights
from services.models.deepecg.card import CARD, base_card, new_card
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
DEFAULT_BASE_NAME = "deepecg-base-ssl"
# fourth moment over the squared second: 1.8 for uniform numbers, 3 for normal ones, more for
# matrices that training has shaped
_UNIFORM_KURTOSIS = 2.2
_CHUNK = 1 << 20
PUBLISHED_AUROC = {"internal": 0.742, "external": 0.764}


def import_public(
    file: Path, *, into: Path, name: str | None = None, config: NetworkConfig = PUBLISHED
) -> dict[str, Any]:
    """Either published file as a model folder, and its card; errors as `read_checkpoint`.

    base_ssl.pt becomes a start for fine-tunes: its card says `predicts: false`.
    """
    checkpoint = read_checkpoint(file, config=config)
    if checkpoint.layout is Layout.BASE_SSL:
        return _write_base(file, checkpoint, into, name or DEFAULT_BASE_NAME, config)
    return _write_classifier(file, checkpoint, into, name or DEFAULT_NAME, config)


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
    return _write_classifier(file, checkpoint, into, name, config, synthetic=synthetic)


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


def _write_classifier(
    file: Path,
    checkpoint: PublicCheckpoint,
    into: Path,
    name: str,
    config: NetworkConfig,
    *,
    synthetic: bool = False,
) -> dict[str, Any]:
    card = new_card(
        name=name,
        network=config,
        source=_source(file, checkpoint) | {"published_auroc": PUBLISHED_AUROC},
        synthetic=synthetic or look_untrained(checkpoint.tensors),
    )
    return write_model_folder(into, network_from(checkpoint, config=config).state_dict(), card)


def _write_base(
    file: Path, checkpoint: PublicCheckpoint, into: Path, name: str, config: NetworkConfig
) -> dict[str, Any]:
    """The backbone alone, in float32, under the classifier's names."""
    card = base_card(
        name=name,
        network=config,
        source=_source(file, checkpoint),
        synthetic=look_untrained(checkpoint.tensors),
    )
    return write_model_folder(into, {key: t.float() for key, t in checkpoint.tensors.items()}, card)


def write_model_folder(
    into: Path, tensors: Mapping[str, Tensor], card: dict[str, Any]
) -> dict[str, Any]:
    """The card last, so that a folder with a card is whole."""
    into.mkdir(parents=True, exist_ok=True)
    weights.save_tensors(tensors, into / WEIGHTS)
    (into / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card


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
    }
