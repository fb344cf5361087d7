"""What tokens' logits are held against: the guide's losses, the focal one and class weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from services.models.ecgbert.guide.sentences import NO_LABEL
from services.models.ecgbert.guide.spec import FOCAL_GAMMA, LARGEST_WEIGHT

# labels of the tokens, and the number of the chunk that each belongs to; both (n_tokens,)
Target = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TokenLoss:
    """(logits (n_tokens, n_outputs), target) -> the mean over each chunk's labelled tokens.

    One output is a binary model's: its loss is binary cross entropy on the logit. gamma: of the
    focal loss, 0 for plain cross entropy. weight: (n_classes,) float32, None for alike.

    The original takes exp(-weighted loss) for the probability; here the weight stands outside.
    """

    gamma: float = 0.0
    weight: NDArray[np.float32] | None = None

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """(n_chunks,); 0 for a chunk that teaches nothing."""
        label, chunk = target
        taught = torch.nonzero(label != NO_LABEL)[:, 0]
        kept, of = label[taught].long(), chunk[taught]
        value = _cross_entropy(logits[taught].float(), kept)
        if self.gamma:
            value = (1 - torch.exp(-value)) ** self.gamma * value
        if self.weight is not None:
            value = value * torch.from_numpy(self.weight).to(value.device)[kept]
        n_chunks = int(chunk[-1]) + 1
        sums = value.new_zeros(n_chunks).index_add(0, of, value)
        counts = value.new_zeros(n_chunks).index_add(0, of, torch.ones_like(value))
        return sums / counts.clamp(min=1)


def token_loss(name: str, class_weights: str, counts: NDArray[np.int64]) -> TokenLoss:
    """By the names of the hyperparameters. counts: (n_classes,) labelled training tokens."""
    weight = balanced_weights(counts) if class_weights == "balanced" else None
    return TokenLoss(FOCAL_GAMMA if name == "focal" else 0.0, weight)


def balanced_weights(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Root of how much rarer a class is than the most frequent one, at most 10. (n_classes,)

    A class that is absent weighs nothing: in the original it gets nearly all of the weight.
    """
    rarity = counts.max(initial=1) / np.maximum(counts, 1)
    weight = np.minimum(np.sqrt(rarity), LARGEST_WEIGHT)
    return np.where(counts > 0, weight, 0.0).astype(np.float32)


def class_probabilities(logits: Tensor) -> Tensor:
    """(n, n_classes) from logits (n, n_outputs); one output is the second of two classes."""
    if logits.shape[1] == 1:
        abnormal = torch.sigmoid(logits)
        return torch.cat([1 - abnormal, abnormal], dim=1)
    return logits.softmax(dim=1)


def _cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(
            logits[:, 0], label.to(logits.dtype), reduction="none"
        )
    loss: Tensor = nn.functional.cross_entropy(logits, label, reduction="none")
    return loss
