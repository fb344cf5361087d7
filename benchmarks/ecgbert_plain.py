"""The guide's own loop, written plainly: one wave at a time, one chunk at a time, saved each time.

What `benchmarks.ecgbert` compares with. It does the same work as the published code and no more of
it: the same filters, NeuroKit2's hamilton2002 on each lead, a loop over waves for slices, means and
tokens, torch's own encoder over 3,600 tokens, and in training a step, a saving and a loading after
each sentence. Nothing here is slowed down on purpose; torch may use all its threads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.ecgbert.reference.peaks import lead_peaks
from services.models.ecgbert.reference.preprocessing import bandstopped, without_details
from services.models.ecgbert.reference.segments import wave_segments
from services.models.ecgbert.spec import CHUNK_TOKENS, TOKEN_OFFSETS, TOKEN_POINTS

Signal = NDArray[np.float64]


def plain_signal(raw: Signal) -> Signal:
    return without_details(bandstopped(raw, sampling_rate_hz=360.0))


def plain_peaks(signal: Signal) -> list[NDArray[np.int64]]:
    return [lead_peaks(lead) for lead in signal]


def plain_sentence(
    lead: Signal, peaks: NDArray[np.int64], clusters: Clusters
) -> tuple[list[int], list[float]]:
    """Token and mean of each wave, in time, one after the other."""
    segments = wave_segments(peaks, n_samples=len(lead))
    waves = sorted(
        (int(start), kind, int(end)) for kind, part in enumerate(segments) for start, end in part
    )
    tokens, means = [], []
    for start, kind, end in waves:
        first, last = sorted((min(start, len(lead) - 1), min(end, len(lead) - 1)))
        part = lead[first : last + 1]
        points = np.zeros(TOKEN_POINTS)
        points[: min(len(part), TOKEN_POINTS)] = part[:TOKEN_POINTS]
        distances = [np.linalg.norm(points - center) for center in clusters.centroids[kind]]
        tokens.append(TOKEN_OFFSETS[kind] + int(np.argmin(distances)))
        means.append(float(part.mean()))
    return tokens, means


def plain_logits(network: GuideNetwork, tokens: list[int], means: list[float]) -> Tensor:
    network.eval()
    found = []
    with torch.no_grad():
        for first in range(0, len(tokens), CHUNK_TOKENS):
            ids = torch.tensor(tokens[first : first + CHUNK_TOKENS])[None]
            signal = torch.tensor(means[first : first + CHUNK_TOKENS])[None]
            found.append(network(ids, signal)[0])
    return torch.cat(found)


class PlainTraining:
    """The published fine-tuning: a frozen embedding, Adam, one chunk a step, saved each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = GuideNetwork()
        self.head = nn.Sequential(nn.Linear(32, 75), nn.Linear(75, 5))
        for part in (self.network.token_embedding, self.network.cnn_embedding):
            part.requires_grad_(False)
        learning = [*self.network.transformer.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.Adam(learning, lr=0.001)
        self.loss = nn.CrossEntropyLoss()

    def step(self, tokens: Tensor, means: Tensor, label: Tensor) -> float:
        """One chunk, each (n_tokens,), by torch's encoder in training."""
        self.network.transformer.train()
        with torch.no_grad():
            embedded = self.network.embedded(tokens[None], means[None])
        logits = self.head(self.network.transformer(embedded))[0]
        loss = self.loss(logits, label)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def sentence(self, tokens: Tensor, means: Tensor, label: Tensor) -> None:
        """All chunks of a lead; then everything is saved, built anew and loaded."""
        for first in range(0, len(tokens), CHUNK_TOKENS):
            chunk = slice(first, first + CHUNK_TOKENS)
            self.step(tokens[chunk], means[chunk], label[chunk])
        self.save_and_load()

    def save_and_load(self) -> None:
        torch.save(self.network.state_dict(), self.folder / "bert_model.pth")
        torch.save(self.optimizer.state_dict(), self.folder / "optimizer.pth")
        stored = torch.load(self.folder / "bert_model.pth", weights_only=True)  # noqa: TID251
        self.network.load_state_dict(stored)
