"""How training beats are varied: a patient's leads, gain and noise must not be learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from services.models.ecgbert.spec import MASK_ID

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Augmentation:
    """Strengths; a zero leaves that step out. Lengths are in ordinary QRS heights.

    one_lead: share of batches that see one lead alone. swap: share that see the leads exchanged.
    masked_words: share of tokens replaced by MASK. gain: spread of the log gain of a lead.
    wander, noise: largest amplitude. shift: points that a beat may be moved by.
    rr_jitter: spread added to each of the rhythm's log ratios.
    similarity_jitter: spread added to the similarity features.
    """

    one_lead: float = 0.25
    swap: float = 0.0
    masked_words: float = 0.15
    gain: float = 0.2
    wander: float = 0.15
    noise: float = 0.1
    shift: int = 1
    rr_jitter: float = 0.03
    similarity_jitter: float = 0.2


def augmented(inputs: Inputs, how: Augmentation, generator: torch.Generator) -> Inputs:
    """Varied copies of a batch; shapes as `BeatNetwork.forward` takes them (fewer leads may come).

    The ordinary beat shares a lead's gain, and nothing else that happens to the beat.
    """
    words, windows, ordinary, rhythm, similarity = inputs
    windows = _shifted(windows, how.shift, generator)
    windows = windows + _wander(windows, how.wander, generator)
    windows = windows + _noise(windows, how.noise, generator)
    gain = torch.exp(how.gain * _normal(windows[..., :1], generator))
    similarity = similarity + how.similarity_jitter * _normal(similarity, generator)
    rhythm = rhythm + how.rr_jitter * _normal(rhythm, generator)
    hidden = torch.rand(words.shape, generator=generator) < how.masked_words
    words = torch.where(hidden, torch.full_like(words, MASK_ID), words)
    leads = _leads(words.shape[1], how, generator)
    return (
        words[:, leads],
        (windows * gain)[:, leads],
        (ordinary * gain)[:, leads],
        rhythm,
        similarity[:, leads],
    )


def _leads(n_leads: int, how: Augmentation, generator: torch.Generator) -> list[int]:
    draw = torch.rand(3, generator=generator).tolist()
    if n_leads == 1:
        return [0]
    if draw[0] < how.one_lead:
        return [int(draw[1] < 0.5)]
    return [1, 0] if draw[2] < how.swap else [0, 1]


def _shifted(windows: Tensor, most: int, generator: torch.Generator) -> Tensor:
    n, leads, points = windows.shape
    by = torch.randint(-most, most + 1, (n, 1, 1), generator=generator)
    at = (torch.arange(points) + by).clamp(0, points - 1).expand(n, leads, points)
    return torch.gather(windows, 2, at)


def _wander(windows: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """A slow sine a lead: 0.3 to 1.5 waves over the window of one second."""
    n, leads, points = windows.shape
    draw = torch.rand((3, n, leads, 1), generator=generator)
    time = torch.linspace(0, 1, points)
    turns = (0.3 + 1.2 * draw[0]) * time + draw[1]
    return most * draw[2] * torch.sin(2 * torch.pi * turns)


def _noise(windows: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """White noise for half of the beats, smoother noise of the same power for the others."""
    white = _normal(windows, generator)
    smooth = torch.nn.functional.avg_pool1d(white, 3, 1, 1) * 3**0.5
    draw = torch.rand((2, len(windows), windows.shape[1], 1), generator=generator)
    return most * draw[0] * torch.where(draw[1] < 0.5, white, smooth)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator)
