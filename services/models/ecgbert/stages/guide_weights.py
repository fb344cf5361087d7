"""The guide's weight files, written for programs that expect them; nothing here ever reads one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from services.models.ecgbert.guide.network import EMBEDDING, GuideClassifier


def write_guide_weights(network: GuideClassifier, folder: Path, *, epochs: int) -> None:
    """`emb_model_{epochs}_results.pth` and `fine_tune_model_{epochs}_results.pth`, tensors only."""
    embedding: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        (embedding if name.startswith(EMBEDDING) else rest)[name] = tensor.detach().clone()
    for stem, tensors in (("emb_model", embedding), ("fine_tune_model", rest)):
        path = folder / f"{stem}_{epochs}_results.pth"
        beside = path.with_suffix(".pth.partial")
        torch.save(tensors, beside)
        beside.replace(path)
