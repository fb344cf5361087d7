"""EcgRecord -> one risk, from the logits of its windows.

The record's logit is the mean of its windows' logits; threshold and calibration are the model
version's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.ecg.record import EcgRecord, FloatArray
from services.errors import UnusableInput
from services.models.cpu_lanes import LaneBatches, cpu_lanes, lane_count
from services.models.deepecg import spec
from services.models.deepecg.card import RiskCard
from services.models.deepecg.dense import pack_all
from services.models.deepecg.fused_network import FusedRiskNetwork
from services.models.deepecg.gpu_network import GraphedNetwork, reduced, trial_windows
from services.models.deepecg.network import RiskNetwork
from services.models.deepecg.reference_pipeline import as_published
from services.models.deepecg.windows import risk_windows
from services.models.microbatches import MicroBatches
from services.models.results import RiskResult
from services.training.progress import Progress

GPU_BATCH = 64
CPU_BATCH = 4  # most of what larger ones gain, and nobody waits long for a lane
SYNTHETIC_NOTE = (
    "these weights were made by a formula and have learned nothing: the figure is not a risk"
)


class WindowLogits:
    """A network on its device; any number of threads may call it.

    On a CPU a window's logit does not depend, to the bit, on what else is asked. A window that is
    alone has all processors, several go in small batches, each on one processor: both as far as
    that is seen to change nothing. On a GPU the windows of all requests go in large batches.
    """

    def __init__(
        self,
        network: RiskNetwork,
        *,
        device: str,
        samples: int = spec.WINDOW_SAMPLES,
        most: int | None = None,
    ) -> None:
        """samples: of a window. most: windows of a batch; None chooses by the device."""
        self._device = torch.device(device)
        fused = FusedRiskNetwork(network).to(self._device)
        on_cpu = self._device.type == "cpu"
        self.packed = on_cpu and pack_all(fused)
        self._network: Callable[[Tensor], Tensor]
        self._network = fused if on_cpu else _for_gpu(fused, self._device)
        self.batches = MicroBatches(self._computed, most=most or GPU_BATCH)
        self._on_lanes = on_cpu and most is None
        self.most, self._spreads = most or GPU_BATCH, False
        if self._on_lanes:
            self.most, self._spreads = harmless_ways(self._computed, samples)
        self.lanes = LaneBatches(self._computed, most=self.most)
        self._lock, self._in_flight = threading.Lock(), 0

    def __call__(
        self, windows: FloatArray, *, progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """(n, 12, samples) float32 -> (n,) logits."""
        at_once = self.most * (lane_count() if self._on_lanes else 1)
        logits = np.empty(len(windows), dtype=np.float64)
        for first in range(0, len(windows), at_once):
            if progress is not None:
                progress.check_cancelled()
                progress.advance(0.2 + 0.8 * first / len(windows), stage="reading windows")
            part = slice(first, first + at_once)
            logits[part] = self._part(windows[part])
        return logits

    def _part(self, windows: FloatArray) -> list[float]:
        if not self._on_lanes:
            return self.batches(list(windows))
        with self._lock:
            alone = self._spreads and len(windows) == 1 and self._in_flight == 0
            self._in_flight += 1
        try:
            if alone:
                return self._computed([windows[0]])
            return self.lanes(list(windows))
        finally:
            with self._lock:
                self._in_flight -= 1

    def _computed(self, windows: list[FloatArray]) -> list[float]:
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack(windows).astype(np.float32, copy=False))
            found: list[float] = self._network(batch)[:, 0].double().tolist()
        return found


def harmless_ways(
    compute: Callable[[list[FloatArray]], list[float]], samples: int, *, most: int = CPU_BATCH
) -> tuple[int, bool]:
    """How many windows a lane may compute in one go, and whether one may have all processors.

    As far as each gets the logit, to the bit, that it gets alone on a lane.
    compute: windows -> logits; how its products sum is the processor's and the library's choice.
    """
    trial = list(trial_windows(samples)[:most])
    alone = list(cpu_lanes().map(lambda window: compute([window])[0], trial))
    spreads = compute(trial[:1]) == alone[:1]
    sizes = range(2, most + 1)
    together = cpu_lanes().map(lambda size: compute(trial[:size]), sizes)
    for size, found in zip(sizes, together, strict=True):
        if found != alone[:size]:
            return size - 1, spreads
    return most, spreads


def _for_gpu(fused: FusedRiskNetwork, device: torch.device) -> Callable[[Tensor], Tensor]:
    network, _ = reduced(fused, torch.from_numpy(trial_windows()).to(device))
    return GraphedNetwork(network, samples=spec.WINDOW_SAMPLES)


class RiskPredictor:
    """A loaded version: its network and what its card says."""

    def __init__(self, network: RiskNetwork, card: RiskCard, *, device: str) -> None:
        self.window_logits = WindowLogits(network, device=device, samples=card.window.samples)
        self.card = card

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> RiskResult:
        """The record's risk and each window's.

        Raises UnusableInput as `risk_windows` does, or for an unknown option; Cancelled.
        """
        reference = _preparation(options) == "reference"
        with self.window_logits.batches.request():
            progress.advance(0.0, stage="preparing windows")
            windows = risk_windows(record, window=self.card.window)
            signal, notes = windows.signal, windows.notes
            if reference:
                signal = as_published(signal)
                notes += ("published scaling and noise removal, over the windows of this record",)
            logits = self.window_logits(signal, progress=progress)
        progress.advance(1.0, stage="done")
        return self.result(logits, windows.start_s, notes)

    def result(
        self, logits: NDArray[np.float64], start_s: NDArray[np.float64], notes: tuple[str, ...]
    ) -> RiskResult:
        """logits, start_s: (n_windows,), at least one."""
        card = self.card
        mean = logits.mean(keepdims=True)
        described = (
            f"threshold {card.threshold:g}: {card.threshold_source}",
            f"calibration: {card.calibration.description}",
        )
        return RiskResult(
            risk=float(card.calibration.risk(mean)[0]),
            logit=float(mean[0]),
            threshold=card.threshold,
            calibrated=card.calibration.as_card() is not None,
            window_start_s=start_s,
            window_risk=card.calibration.risk(logits),
            notes=notes + described + ((SYNTHETIC_NOTE,) if card.synthetic else ()),
            synthetic=card.synthetic,
        )


def _preparation(options: Mapping[str, Any]) -> str:
    known = spec.FAMILY_SPEC.options
    for name in options:
        if name not in known:
            raise UnusableInput(f"options.{name} is unknown; there are {', '.join(known)}")
    chosen = options.get("preparation", known["preparation"].default)
    if chosen not in known["preparation"].choices:
        choices = ", ".join(known["preparation"].choices)
        raise UnusableInput(f"options.preparation is {chosen!r}; expected one of {choices}")
    return str(chosen)
