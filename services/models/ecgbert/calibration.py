"""How logits become probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from services.models.ecgbert.network import BeatNetwork

_BINS = 15
_PULL = 1e-3  # keeps the bias of a class with next to no beats near nothing


@dataclass(frozen=True)
class Calibration:
    """calibrated logits = scale * logits + bias; the scale is one number for all classes."""

    scale: float
    bias: tuple[float, ...]

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n_beats, n_classes), each row summing to 1."""
        calibrated = self.scale * logits.astype(np.float64) + np.asarray(self.bias)
        raised = np.exp(calibrated - calibrated.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)

    def shifted(self, shift: Sequence[float]) -> Calibration:
        """With this added to the bias of each class."""
        return replace(self, bias=tuple(b + s for b, s in zip(self.bias, shift, strict=True)))

    def put_into(self, network: BeatNetwork) -> None:
        """Makes it the calibration that travels with the network's weights."""
        network.calibration_scale.fill_(self.scale)
        network.calibration_bias.copy_(torch.tensor(self.bias))


def fitted_calibration(logits: NDArray[np.float32], label: NDArray[np.int64]) -> Calibration:
    """The scale and biases under which these labels are most likely.

    logits: (n_beats, n_classes) of patients that the networks had not seen; label: (n_beats,).
    """
    given, target = torch.from_numpy(logits).double(), torch.from_numpy(label)
    scale = torch.ones(1, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        fit = torch.nn.functional.cross_entropy(scale * given + bias, target)
        value: torch.Tensor = fit + _PULL * (bias**2).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return Calibration(float(scale.detach()), tuple(float(b) for b in bias.detach()))


def expected_calibration_error(
    probabilities: NDArray[np.float32], label: NDArray[np.int64]
) -> float:
    """Mean distance of the answer's probability from how often it is right, over 15 equal bins."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == label
    place = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    count = np.bincount(place, minlength=_BINS)
    gap = np.bincount(place, sure, _BINS) - np.bincount(place, right.astype(float), _BINS)
    return float(np.abs(gap).sum() / max(count.sum(), 1))
