"""The network on a GPU: in half precision where that is harmless, its launches recorded once.

Half precision is offered only after it has been held against float32 on this device, with these
weights: it may move no logit of the trial windows by more than 0.02. A CUDA graph replays all
kernels of a forward pass with one launch, which is most of the time of a small batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from services.ecg.record import FloatArray
from services.models.deepecg import spec
from services.models.deepecg.fused_network import FusedRiskNetwork

MOST_MOVED = 0.02  # of any trial window's logit
# the one that keeps more digits first: measured 0.006 of a logit against 0.08
HALVES = (torch.float16, torch.bfloat16)
GRAPH_SIZES = (1, 2, 4, 8, 16, 32, 64)
_WARM_UP_RUNS = 3
_TRIALS = 16


def reduced(
    network: FusedRiskNetwork, trial: Tensor, *, dtypes: Sequence[torch.dtype] = HALVES
) -> tuple[FusedRiskNetwork, torch.dtype]:
    """The network computing in the first type that is harmless, or itself in float32.

    trial: (n, 12, samples) mV on the network's device.
    """
    with torch.inference_mode():
        expected = network(trial)
        for dtype in dtypes:
            candidate = deepcopy(network)
            candidate.compute_in(dtype)
            moved = (candidate(trial) - expected).abs().max()
            if bool(moved <= MOST_MOVED):  # NaN is not
                return candidate, dtype
    return network, torch.float32


def trial_windows(samples: int = spec.WINDOW_SAMPLES) -> FloatArray:
    """(16, 12, samples) mV, always the same: beats of several rates and sizes, drift and noise."""
    rng = np.random.default_rng(0)
    time_s = np.arange(samples) / spec.SAMPLING_RATE_HZ
    interval_s = np.linspace(0.4, 1.4, _TRIALS)[:, None]
    phase = np.abs(time_s % interval_s - interval_s / 2)[:, None]  # (16, 1, samples)
    gains = (
        rng.normal(0, 1.0, (_TRIALS, len(spec.LEADS), 1))
        * np.geomspace(0.2, 4.0, _TRIALS)[:, None, None]
    )
    beats = gains * (np.exp(-((phase / 0.02) ** 2)) + 0.2 * np.exp(-(((phase - 0.2) / 0.06) ** 2)))
    drift = 0.3 * np.sin(2 * np.pi * 0.2 * time_s)
    noise = rng.normal(0, 0.02, (_TRIALS, len(spec.LEADS), samples))
    return (beats + drift + noise).astype(np.float32)


class GraphedNetwork:
    """Calls of at most the largest size, each padded to the next; one thread at a time."""

    def __init__(self, network: FusedRiskNetwork, *, samples: int) -> None:
        self._network, self._samples = network, samples
        self._recorded: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None] = {}

    def __call__(self, signal: Tensor) -> Tensor:
        """signal: (n, 12, samples) on any device -> (n, labels) on the GPU."""
        n = len(signal)
        size = next((size for size in GRAPH_SIZES if size >= n), None)
        if size is None or signal.shape[2] != self._samples:
            return self._directly(signal)
        if size not in self._recorded:
            self._recorded[size] = self._record(size)
        recorded = self._recorded[size]
        if recorded is None:
            return self._directly(signal)
        graph, put_in, comes_out = recorded
        put_in[:n].copy_(signal)  # what lies in the other rows is of earlier calls, and finite
        graph.replay()
        return comes_out[:n].clone()

    def _directly(self, signal: Tensor) -> Tensor:
        device = self._network.head.weight.device
        out: Tensor = self._network(signal.to(device))
        return out

    def _record(self, size: int) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None:
        """None where this driver or build of torch cannot."""
        device = self._network.head.weight.device
        put_in = torch.zeros(size, len(spec.LEADS), self._samples, device=device)
        try:
            aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UP_RUNS):
                    self._network(put_in)
            torch.cuda.current_stream(device).wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                comes_out = self._network(put_in)
        except RuntimeError:
            return None
        return graph, put_in, comes_out
