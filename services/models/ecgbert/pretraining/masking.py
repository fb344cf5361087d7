"""Masked-wave modelling: 15 % of the waves are hidden, and the network says which they were.

A hidden wave's token is MASK and its signal is silent, in all of its samples where each sample is a
token: otherwise its neighbours, or the U-Net, would give it away. Only hidden tokens are held
against the network; the original counts all of them, and learns to copy. Chunks lie packed one
behind the other, so there is no padding to be masked, the right way round or not.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from services.ecg.record import IntArray
from services.models.ecgbert.guide.chunks import ChunkedSentences
from services.models.ecgbert.guide.losses import Target
from services.models.ecgbert.guide.network import GuideClassifier, GuideConfig
from services.models.ecgbert.guide.sentences import NO_LABEL, LeadSentence
from services.models.ecgbert.reference.spec import MASKED_SHARE
from services.models.ecgbert.spec import MASK_ID, VOCABULARY_SIZE, WIDTH

_HEAD, _OUTPUT = "head.", "fc."  # our name and the public checkpoint's for the same layer


class MaskedWaveNetwork(GuideClassifier):
    """The guide's network whose output is the vocabulary."""

    def __init__(self, config: GuideConfig) -> None:
        super().__init__(config)
        self.head = nn.Linear(WIDTH, VOCABULARY_SIZE)  # type: ignore[assignment]

    def public_tensors(self) -> dict[str, Tensor]:
        """Everything under the names of the public checkpoint."""
        return {
            name.replace(_HEAD, _OUTPUT) if name.startswith(_HEAD) else name: tensor
            for name, tensor in self.state_dict().items()
        }


class MaskedChunks:
    """Training data: chunks with other waves hidden each time they come."""

    def __init__(self, sentences: ChunkedSentences) -> None:
        self.sentences = sentences
        self.waves = [wave_of_token(lead) for lead in sentences.leads]

    def __len__(self) -> int:
        return len(self.sentences)

    def batch(
        self, indices: IntArray, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Target]:
        """Ids, signal and lengths with waves hidden; the hidden ids, NO_LABEL elsewhere."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        rng = np.random.default_rng(seed)
        words = self.sentences
        hidden = torch.from_numpy(
            np.concatenate([hidden_tokens(self._waves(chunk), rng) for chunk in indices])
        )
        tokens, signal = words.tokens(indices), words.signal(indices)
        label = tokens.masked_fill(~hidden, NO_LABEL)
        lengths = words.lengths(indices)
        chunk = torch.repeat_interleave(torch.arange(len(indices)), lengths)
        inputs = (tokens.masked_fill(hidden, MASK_ID), signal.masked_fill(hidden, 0.0), lengths)
        return inputs, (label, chunk)

    def _waves(self, chunk: int) -> IntArray:
        lead, first, end = self.sentences.bounds[chunk]
        return np.asarray(self.waves[lead][first:end])


def wave_of_token(lead: LeadSentence) -> IntArray:
    """(n_tokens,) the number of the wave that each token belongs to; one each with wave tokens."""
    if not len(lead):
        return np.empty(0, dtype=np.int64)
    tokens_are_samples = np.asarray(lead.end[:1] - lead.start[:1]).item() == 1
    if not tokens_are_samples:
        return np.arange(len(lead))
    kind, beat = np.asarray(lead.kind), np.asarray(lead.beat)
    begins = (np.diff(kind, prepend=kind[:1]) != 0) | (np.diff(beat, prepend=beat[:1]) != 0)
    return np.cumsum(begins)


def hidden_tokens(waves: IntArray, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n_tokens,) whether a token is hidden: those of 15 % of the waves of a chunk, at least one's.

    waves: (n_tokens,) ascending numbers of the waves.
    """
    first, last = int(waves[0]), int(waves[-1])
    n_waves = last - first + 1
    n_hidden = max(1, round(MASKED_SHARE * n_waves))
    hidden = np.zeros(n_waves, dtype=bool)
    hidden[rng.choice(n_waves, n_hidden, replace=False)] = True
    return hidden[waves - first]
