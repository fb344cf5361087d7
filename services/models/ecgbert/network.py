"""Wave tokens, position and signal embedding into a small transformer that labels positions.

A window of positions speaks of one beat: `[CLS] BG P QRS T BG [SEP]`. What the leads say of a wave
is averaged at its position; without `fused_leads` a second lead's `BG P QRS T BG [SEP]` follows
instead. Windows of beats do not attend to one another.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from services.models.ecgbert import spec
from services.models.ecgbert.alike import ALIKE_FEATURES
from services.models.ecgbert.reference_beat import SIMILARITY_FEATURES
from services.models.ecgbert.rhythm import RHYTHM_FEATURES

N_RHYTHM = len(RHYTHM_FEATURES) + len(ALIKE_FEATURES)
POSITIONS = 2 + spec.MAX_LEADS * (spec.WAVES_PER_BEAT + 1) - 1
# points of the window that each wave's signal embedding is pooled over: background, P, QRS, T,
# background, as the guide's intervals lie around R (-150, -50, +50, +200 ms)
WAVE_POINTS = ((0, 30), (30, 42), (42, 54), (54, 72), (72, 120))
# every cluster's token -> the first of its kind; the special ones stay
KIND_TOKEN = (
    *np.repeat(spec.TOKEN_OFFSETS, spec.CLUSTERS_PER_WAVE).tolist(),
    *range(spec.UNUSED_ID, spec.VOCABULARY_SIZE),
)
_FEW_POSITIONS = 8
_STRIDE = 2  # of the signal embedding's output


@dataclass(frozen=True)
class NetworkConfig:
    """What is needed to build the network again; kept in the model card.

    fused_leads: whether the leads share positions (their embeddings' mean) or follow one another.
    tokens: whether wave tokens are embedded. kinds_only: whether all waves of a kind share a token
    (P, QRS, T, background), for clusters tell patients apart as well as waves.
    difference: whether the signal embedding sees each beat's difference from the ordinary one.
    rhythm, similarity: whether those features are added to the embedding.
    """

    n_classes: int = 5
    width: int = spec.WIDTH
    layers: int = spec.LAYERS
    heads: int = spec.HEADS
    feed_forward: int = spec.FEED_FORWARD
    signal_width: int = 16
    dropout: float = spec.DROPOUT
    fused_leads: bool = True
    tokens: bool = True
    kinds_only: bool = False
    difference: bool = True
    rhythm: bool = True
    similarity: bool = True

    def as_card(self) -> dict[str, Any]:
        """For card.json."""
        return asdict(self)


class SignalEmbedding(nn.Module):
    """A small U-Net over the samples, pooled to one vector a wave.

    In: (n, channels, 120) at 120 Hz. Out: (n, 5, width).
    """

    def __init__(self, channels: int, signal_width: int, width: int) -> None:
        super().__init__()
        self.encoder1 = nn.Sequential(
            nn.Conv1d(channels, signal_width, 7, 2, 3), nn.BatchNorm1d(signal_width), nn.ReLU()
        )
        self.encoder2 = nn.Sequential(
            nn.Conv1d(signal_width, 2 * signal_width, 5, 2, 2),
            nn.BatchNorm1d(2 * signal_width),
            nn.ReLU(),
        )
        self.decoder1 = nn.Sequential(
            nn.ConvTranspose1d(2 * signal_width, signal_width, 4, 2, 1),
            nn.BatchNorm1d(signal_width),
            nn.ReLU(),
        )
        self.pool = nn.Linear(2 * signal_width, width)

    def forward(self, signal: Tensor) -> Tensor:
        """(n, channels, 120) -> (n, 5, width)."""
        wide = self._as_trained(signal) if self.training else self._folded(signal)
        pooled = []
        for first, end in WAVE_POINTS:
            part = wide[:, first // _STRIDE : end // _STRIDE]
            pooled.append(torch.cat([part.mean(1), part.amax(1)], dim=1))
        out: Tensor = self.pool(torch.stack(pooled, dim=1))
        return out

    def _as_trained(self, signal: Tensor) -> Tensor:
        """(n, 60, signal width), each layer by itself."""
        fine = self.encoder1(signal)
        wide: Tensor = self.decoder1(self.encoder2(fine)) + fine
        return wide.transpose(1, 2)

    def _folded(self, signal: Tensor) -> Tensor:
        """The same, quicker: normalisation folded into the convolutions, channels last.

        The transposed convolution (4 wide, stride 2) is one 3 wide that gives every other point by
        each half of its channels; with channels last these lie one behind the other as they are.
        """
        fine = _convolved(signal.unsqueeze(2), *_folded_weights(self.encoder1), 2)
        deep = _convolved(fine, *_folded_weights(self.encoder2), 2)
        weight, bias = _folded_weights(self.decoder1)
        taps = weight.unbind(2)  # each (out, in)
        none = torch.zeros_like(taps[0])
        even = torch.stack([taps[3], taps[1], none], dim=2)
        odd = torch.stack([none, taps[2], taps[0]], dim=2)
        up = _convolved(deep, torch.cat([even, odd]), bias.repeat(2), 1)
        n, width = len(signal), len(bias)
        return _last(up).reshape(n, -1, width) + _last(fine).reshape(n, -1, width)


def _folded_weights(stage: nn.Sequential) -> tuple[Tensor, Tensor]:
    """(out, in, taps) and (out,) of a stage's convolution that does its normalisation too."""
    convolution, norm = cast("nn.Conv1d", stage[0]), cast("nn.BatchNorm1d", stage[1])
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    weight = convolution.weight
    if isinstance(stage[0], nn.ConvTranspose1d):
        weight = weight.transpose(0, 1)
    bias = (cast("Tensor", convolution.bias) - mean) * scale + norm.bias
    return weight * scale[:, None, None], bias


def _convolved(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """(n, in, 1, t) -> rectified (n, out, 1, t / stride), channels last in memory."""
    kernel = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    padding = (0, weight.shape[2] // 2)
    return torch.relu_(nn.functional.conv2d(x, kernel, bias, (1, stride), padding))


def _last(x: Tensor) -> Tensor:
    """(n, channels, 1, t) -> (n, 1, t, channels)."""
    return x.permute(0, 2, 3, 1)


def attention(qkv: Tensor) -> Tensor:
    """Every position attends to every one. (n, positions, 3, heads, d) -> (n, positions, heads, d).

    With a handful of positions and heads this narrow the library's kernel is mostly padding; the
    sums written out, all windows and heads side by side in memory, take less than half the time.
    """
    n, positions, _, heads, depth = qkv.shape
    if positions > _FEW_POSITIONS:
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        fused: Tensor = nn.functional.scaled_dot_product_attention(q, k, v)
        return fused.transpose(1, 2)
    q, k, v = qkv.permute(2, 4, 1, 0, 3).reshape(3, depth, positions, n * heads)
    likeness = ((q * depth**-0.5)[:, :, None] * k[:, None]).sum(0)
    attended: Tensor = (likeness.softmax(1) * v[:, None]).sum(2)
    return attended.view(depth, positions, n, heads).permute(2, 1, 3, 0)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each normalised first and added. (n, positions, width)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.linear1 = nn.Linear(config.width, config.feed_forward)
        self.linear2 = nn.Linear(config.feed_forward, config.width)
        self.norm1 = nn.LayerNorm(config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(n, positions, width) -> the same shape."""
        n, positions, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(n, positions, 3, self.heads, -1)
        attended = attention(qkv).reshape(n, positions, width)
        x = x + self.dropout(self.out(attended))
        hidden = torch.relu(self.linear1(self.norm2(x)))
        out: Tensor = x + self.dropout(self.linear2(hidden))
        return out


class BeatNetwork(nn.Module):
    """Words, signal and rhythm of beats -> logits of their classes.

    Feature means and spreads, and the calibration, are buffers: they travel with the weights.
    """

    rhythm_mean: Tensor
    rhythm_std: Tensor
    similarity_mean: Tensor
    similarity_std: Tensor
    calibration_scale: Tensor
    calibration_bias: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.token_embedding = nn.Embedding(spec.VOCABULARY_SIZE, width)
        self.position_embedding = nn.Parameter(0.1 * torch.randn(POSITIONS, width))
        self.signal_embedding = SignalEmbedding(
            2 if config.difference else 1, config.signal_width, width
        )
        self.rhythm_embedding = nn.Sequential(
            nn.Linear(N_RHYTHM, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.similarity_embedding = nn.Linear(SIMILARITY_FEATURES, width)
        self.layers = nn.ModuleList([EncoderLayer(config) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.n_classes)
        self.dropout = nn.Dropout(config.dropout)
        for name, size in (("rhythm", N_RHYTHM), ("similarity", SIMILARITY_FEATURES)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))
        self.register_buffer("calibration_scale", torch.ones(config.n_classes))
        self.register_buffer("calibration_bias", torch.zeros(config.n_classes))

    def forward(
        self, words: Tensor, windows: Tensor, ordinary: Tensor, rhythm: Tensor, similarity: Tensor
    ) -> Tensor:
        """Uncalibrated logits a beat, (n, n_classes): the mean over its window's positions.

        words: (n, leads, 5). windows, ordinary: (n, leads, 120). rhythm: (n, 25).
        similarity: (n, leads, 14). One lead or two; all beats of a call have as many.
        """
        x = self.embedded(words, windows, ordinary, rhythm, similarity)
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(self.norm(x).mean(dim=1))
        return logits

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits whose softmax is a probability: scaled and shifted class by class."""
        return logits * self.calibration_scale + self.calibration_bias

    def embedded(
        self, words: Tensor, windows: Tensor, ordinary: Tensor, rhythm: Tensor, similarity: Tensor
    ) -> Tensor:
        """(n, 7 or 13, width): what the transformer is given."""
        n, leads, _ = words.shape
        channels = [windows, windows - ordinary] if self.config.difference else [windows]
        signal = torch.stack(channels, dim=2).flatten(0, 1)
        waves = self.signal_embedding(signal).view(n, leads, spec.WAVES_PER_BEAT, -1)
        if self.config.similarity:
            like = (similarity - self.similarity_mean) / self.similarity_std
            waves = waves + self.similarity_embedding(like)[:, :, None]
        if self.config.kinds_only:
            words = torch.tensor(KIND_TOKEN, device=words.device)[words]
        if self.config.tokens:
            waves = waves + self.token_embedding(words)
        if self.config.fused_leads:
            waves, leads = waves.mean(dim=1, keepdim=True), 1
        cls, sep = self.token_embedding.weight[[spec.CLS_ID, spec.SEP_ID]]
        parts = [cls.expand(n, 1, -1)]
        for lead in range(leads):
            parts += [waves[:, lead], sep.expand(n, 1, -1)]
        x = torch.cat(parts, dim=1)
        x = x + self.position_embedding[: x.shape[1]]
        if self.config.rhythm:
            timing = (rhythm - self.rhythm_mean) / self.rhythm_std
            x = x + self.rhythm_embedding(timing)[:, None]
        out: Tensor = self.dropout(x)
        return out
