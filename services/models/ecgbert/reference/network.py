"""The guide's network, as published: tokens, positions and a U-Net into four post-norm layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from services.ecg.record import IntArray
from services.models.ecgbert import spec
from services.models.ecgbert.reference.spec import (
    POSITION_BASE,
    UNET_CHANNELS,
    UNET_KERNELS,
    UNET_PADDING,
    UNET_STRIDES,
)


class PositionTable(nn.Module):
    """The sinusoid of each place, as a buffer (3600, 1, 32)."""

    pe: Tensor

    def __init__(self) -> None:
        super().__init__()
        place = torch.arange(spec.CHUNK_TOKENS, dtype=torch.float32)[:, None]
        steps = torch.arange(0, spec.WIDTH, 2, dtype=torch.float32)
        turns = place * torch.exp(steps * (-math.log(POSITION_BASE) / spec.WIDTH))
        table = torch.stack([torch.sin(turns), torch.cos(turns)], dim=2).flatten(1)
        self.register_buffer("pe", table[:, None])

    def forward(self, n_tokens: int) -> Tensor:
        """The first places, (n_tokens, 32)."""
        return self.pe[:n_tokens, 0]


class UNet(nn.Module):
    """One number a token -> one vector a token, by way of the tokens around it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder1 = self._stage(0, nn.Conv1d)
        self.encoder2 = self._stage(1, nn.Conv1d)
        self.decoder1 = self._stage(2, nn.ConvTranspose1d)
        self.decoder2 = self._stage(3, nn.ConvTranspose1d)
        self.final_conv = nn.Conv1d(*_convolution(4))

    @staticmethod
    def _stage(number: int, convolution: type[nn.Conv1d | nn.ConvTranspose1d]) -> nn.Sequential:
        channels = UNET_CHANNELS[number + 1]
        return nn.Sequential(
            convolution(*_convolution(number)), nn.BatchNorm1d(channels), nn.ReLU()
        )

    def forward(self, means: Tensor) -> Tensor:
        """(n, tokens, 32) from means (n, tokens) in mV."""
        n_tokens = means.shape[-1]
        fine = self.encoder1(means[:, None])  # (n, 32, about tokens / 2)
        deep = self.decoder1(self.encoder2(fine))  # (n, 32, about tokens / 2)
        # the first stage is padded with zeros or cropped to that length
        fine = nn.functional.pad(fine, (0, deep.shape[-1] - fine.shape[-1]))
        wide = self.final_conv(self.decoder2(deep + fine))  # never shorter than the tokens
        out: Tensor = wide[..., :n_tokens].transpose(1, 2)
        return out


class GuideNetwork(nn.Module):
    """Named as the public checkpoint names its tensors, so that it loads strictly.

    The embedding is `token_embedding`, `positional_embedding` and `cnn_embedding`, which
    fine-tuning freezes; the encoder is `transformer`; `fc` is the masked-token output.
    """

    def __init__(self) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(spec.VOCABULARY_SIZE, spec.WIDTH)
        self.positional_embedding = PositionTable()
        self.cnn_embedding = UNet()
        layer = nn.TransformerEncoderLayer(
            spec.WIDTH, spec.HEADS, spec.FEED_FORWARD, spec.DROPOUT, batch_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, spec.LAYERS, enable_nested_tensor=False)
        self.fc = nn.Linear(spec.WIDTH, spec.VOCABULARY_SIZE)

    def embedded(self, tokens: Tensor, means: Tensor) -> Tensor:
        """(n, tokens, 32) from ids (n, tokens) and segment means (n, tokens) in mV.

        The token embedding counts twice, once by itself and once within the positional part. At
        most 3,600 tokens: places are counted from 0 in every chunk.
        """
        word = self.token_embedding(tokens)
        placed = word + self.positional_embedding(tokens.shape[1])
        out: Tensor = word + placed + self.cnn_embedding(means)
        return out

    def encoded(self, embedded: Tensor) -> Tensor:
        """(n, tokens, 32), without any mask: every token sees all others of its chunk."""
        out: Tensor = self.transformer(embedded)
        return out

    def forward(self, tokens: Tensor, means: Tensor) -> Tensor:
        """Logits of the vocabulary at every token, (n, tokens, 75)."""
        out: Tensor = self.fc(self.encoded(self.embedded(tokens, means)))
        return out


@dataclass(frozen=True)
class NetworkOutputs:
    """(n_tokens, 32), (n_tokens, 32) and (n_tokens, 75) float32."""

    embedding: NDArray[np.float32]
    encoder: NDArray[np.float32]
    logits: NDArray[np.float32]


def network_outputs(
    network: GuideNetwork, tokens: IntArray, means: NDArray[np.float64]
) -> NetworkOutputs:
    """What each stage of the network says of a sentence without CLS and SEP, chunk by chunk.

    tokens, means: (n_tokens,). CLS and SEP are stripped before the chunks of 3,600 are made, so
    neither is ever embedded. The network is left in evaluation mode.
    """
    network.eval()
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.inference_mode():
        for first in range(0, len(tokens), spec.CHUNK_TOKENS):
            chunk = slice(first, first + spec.CHUNK_TOKENS)
            ids = torch.from_numpy(tokens[chunk].astype(np.int64))[None]
            embedded = network.embedded(ids, torch.from_numpy(means[chunk]).float()[None])
            encoded = network.encoded(embedded)
            parts.append((embedded[0], encoded[0], network.fc(encoded)[0]))
    stages = (torch.cat(stage).numpy() for stage in zip(*parts, strict=True))
    return NetworkOutputs(*stages)


def _convolution(number: int) -> tuple[int, int, int, int, int]:
    """Channels in and out, kernel, stride and padding of the U-Net's convolution."""
    return (
        UNET_CHANNELS[number],
        UNET_CHANNELS[number + 1],
        UNET_KERNELS[number],
        UNET_STRIDES[number],
        UNET_PADDING[number],
    )
