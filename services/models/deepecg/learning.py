"""What DeepECG learns with: prepared windows on the disk, losses, and figures of validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from numpy.typing import NDArray
from torch import Tensor, nn

from services.ecg.record import IntArray
from services.errors import UnusableInput
from services.models.deepecg.windows import WindowSpec, risk_windows
from services.models.interface import LabelledRecord, LabelledRecords
from services.training.mapped_arrays import mapped_arrays
from services.training.progress import Progress
from services.training.reading import Batches

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Windows:
    """Prepared inputs on the disk; a batch reads its own rows. Implements TrainingData.

    arrays: `label` (n,) float32, `record` (n,) int64, the place of each in the list of records;
    and `signal` (n, 12, samples) or, for a head alone, `pooled` (n, width), both float32.
    """

    arrays: Mapping[str, NDArray[Any]]
    inputs: str = "signal"

    def __len__(self) -> int:
        return len(self.arrays["label"]) if self.arrays else 0

    @property
    def label(self) -> NDArray[np.float32]:
        """(n,) 0 or 1."""
        return np.asarray(self.arrays["label"])

    def batch(
        self,
        indices: IntArray,
        generator: torch.Generator,
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs and labels of these windows."""
        rows = torch.from_numpy(self.arrays[self.inputs][indices])
        return (rows,), torch.from_numpy(self.arrays["label"][indices])

    def by_record(self, logits: Values) -> tuple[Values, Values]:
        """Mean logit and label of each record, from one logit a window."""
        _, member = np.unique(self.arrays["record"], return_inverse=True)
        count = np.bincount(member)
        mean = np.bincount(member, weights=logits) / count
        return mean, np.bincount(member, weights=self.label) / count


class RiskLoss(nn.Module):
    """Binary cross entropy or focal loss, one value a window.

    Upstream divides the sum over a batch by its number of events; here the engine takes the mean,
    so that a batch without events is no other than the rest. Adam is blind to the difference.
    """

    def __init__(
        self, *, focal: tuple[float, float] | None = None, weights: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        super().__init__()
        self.focal, self.weights = focal, weights

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits: (n, 1). target: (n,) 0 or 1. focal: (alpha, gamma); weights: (none, event)."""
        x = logits[:, 0].float()
        loss = F.binary_cross_entropy_with_logits(x, target, reduction="none")
        if self.focal is not None:
            alpha, gamma = self.focal
            sure = torch.exp(-loss)  # the probability of what happened
            loss = torch.where(target > 0, alpha, 1 - alpha) * (1 - sure) ** gamma * loss
        none, event = self.weights
        return loss * torch.where(target > 0, event, none)


def prepared(
    records: LabelledRecords,
    folder: Path,
    *,
    window: WindowSpec,
    most_windows: int,
    progress: Progress,
) -> Windows:
    """Windows of all records, made once; what cannot be read is left out and told of.

    Raises UnusableInput for a record without a label of 0 or 1.
    """
    return Windows(mapped_arrays(folder, _parts(records, window, most_windows, progress)))


def _parts(
    records: LabelledRecords, window: WindowSpec, most_windows: int, progress: Progress
) -> Iterator[dict[str, NDArray[Any]]]:
    for place in range(len(records)):
        progress.check_cancelled()
        progress.advance(place / len(records), stage="preparing windows")
        labelled = records[place]
        label = _label(labelled)
        try:
            found = risk_windows(labelled.record, window=window)
        except UnusableInput as problem:
            message = f"{labelled.record_id} is left out: {problem.detail}"
            progress.event("log", {"message": message})
            continue
        signal = found.signal[:most_windows]
        yield {
            "signal": np.asarray(signal, np.float32),
            "label": np.full(len(signal), label, np.float32),
            "record": np.full(len(signal), place, np.int64),
        }


def _label(labelled: LabelledRecord) -> float:
    if labelled.label not in (0.0, 1.0):
        raise UnusableInput(
            f"{labelled.record_id} has the label {labelled.label}; expected 1 (atrial fibrillation "
            "within five years) or 0"
        )
    return float(labelled.label)


def window_logits(network: nn.Module, windows: Windows, batches: Batches) -> Values:
    """(n,) in evaluation mode, on the network's device."""
    device = next(network.parameters()).device
    unused = torch.Generator()

    def logits(at: IntArray) -> Values:
        (rows,), _ = windows.batch(at, unused)
        return np.asarray(network.eval()(rows.to(device))[:, 0].double().cpu().numpy())

    with torch.inference_mode():
        return np.concatenate(list(batches.through(len(windows), logits)))


def validation_figures(
    windows: Windows, loss: RiskLoss, batches: Batches
) -> Callable[[nn.Module], dict[str, float]]:
    """Loss, AUROC and Brier score over the validation records, from the mean of their windows."""

    def figures(network: nn.Module) -> dict[str, float]:
        logits, label = windows.by_record(window_logits(network, windows, batches))
        values = loss(torch.from_numpy(logits)[:, None], torch.from_numpy(label).float())
        risk = 1 / (1 + np.exp(-logits))
        return {
            "validation_loss": float(values.mean()),
            "auroc": auroc(logits, label),
            "brier": float(((risk - label) ** 2).mean()),
        }

    return figures


def auroc(scores: Values, label: Values) -> float:
    """The chance that an event scores higher than no event, ties counting half; NaN without both.

    Mann-Whitney's U, by ranks.
    """
    _, member, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[member]
    events = float(label.sum())
    others = len(label) - events
    if not events or not others:
        return float("nan")
    return float((rank[label > 0].sum() - events * (events + 1) / 2) / (events * others))
