"""The published network in plain PyTorch, module for module, under the names of its checkpoints.

Samples -> convolutions (one token for 16 samples) -> transformer -> mean over time -> one logit.
Normalisation stands after each addition (post-norm). Everything that the textbook would do
otherwise is said where it happens. `state_dict()` has the names and the order of the fine-tuned
file. For answering requests see `fused_network`, which computes the same in fewer steps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from services.models.deepecg import spec


@dataclass(frozen=True)
class NetworkConfig:
    """What is needed to build the network again; kept in the model card.

    train_extractor: whether the convolutions learn. Published fine-tunes keep them frozen.
    """

    leads: int = len(spec.LEADS)
    conv_channels: int = spec.CONV_CHANNELS
    width: int = spec.MODEL_WIDTH
    layers: int = spec.LAYERS
    heads: int = spec.HEADS
    feed_forward: int = spec.FEED_FORWARD
    position_kernel: int = spec.POSITION_KERNEL
    position_groups: int = spec.POSITION_GROUPS
    labels: int = 1
    activation_dropout: float = spec.ACTIVATION_DROPOUT
    train_extractor: bool = False

    def as_card(self) -> dict[str, Any]:
        """For card.json."""
        return asdict(self)


class SelfAttention(nn.Module):
    """Bidirectional attention without positions of its own. (n, tokens, width) -> the same."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.q_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """hidden: (n, tokens) bool, True where a token must not be attended to."""
        n, tokens, width = x.shape
        q, k, v = (
            projected(x).view(n, tokens, self.heads, -1).transpose(1, 2)  # (n, heads, tokens, 64)
            for projected in (self.q_proj, self.k_proj, self.v_proj)
        )
        seen = None if hidden is None else ~hidden[:, None, None, :]  # (n, 1, 1, tokens)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)  # scale 64 ** -0.5
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(n, tokens, width))
        return out


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each added and then normalised. (n, tokens, width)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config)
        self.self_attn_layer_norm = nn.LayerNorm(config.width, spec.EPSILON)
        self.fc1 = nn.Linear(config.width, config.feed_forward)
        self.fc2 = nn.Linear(config.feed_forward, config.width)
        self.final_layer_norm = nn.LayerNorm(config.width, spec.EPSILON)
        self.activation_dropout = nn.Dropout(config.activation_dropout)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """hidden: (n, tokens) bool as in SelfAttention."""
        x = self.self_attn_layer_norm(x + self.self_attn(x, hidden))
        inner = self.activation_dropout(F.gelu(self.fc1(x)))  # (n, tokens, 3072), the erf GELU
        out: Tensor = self.final_layer_norm(x + self.fc2(inner))
        return out


class Encoder(nn.Module):
    """The layers. Their input is normalised, their output is not again."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.width, spec.EPSILON)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """(n, tokens, width) -> the same; hidden: (n, tokens) bool."""
        x = self.layer_norm(without_padding(x, hidden))
        for layer in self.layers:
            x = layer(x, hidden)
        return x


class FeatureExtractor(nn.Module):
    """(n, 12, samples) mV -> (n, 256, tokens): 2500 -> 1250 -> 625 -> 312 -> 156.

    Only the first block is normalised: each channel over the whole recording, padding included.
    It has no bias, so a constant offset of a lead has no effect.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.conv_channels
        self.conv_layers = nn.ModuleList()
        for block in range(spec.CONV_BLOCKS):
            taken = config.leads if block == 0 else channels
            conv = nn.Conv1d(taken, channels, spec.CONV_KERNEL, spec.CONV_KERNEL, bias=False)
            # the second place is a dropout of 0 upstream; it gives the norm its number
            norm = [nn.GroupNorm(channels, channels, spec.EPSILON)] if block == 0 else []
            self.conv_layers.append(nn.Sequential(conv, nn.Identity(), *norm, nn.GELU()))

    def kernels(self) -> list[Tensor]:
        """Weight of each block, (256, inputs, 2)."""
        return [cast(nn.Conv1d, cast(nn.Sequential, block)[0]).weight for block in self.conv_layers]

    def norm(self) -> nn.GroupNorm:
        """Of the first block."""
        return cast(nn.GroupNorm, cast(nn.Sequential, self.conv_layers[0])[2])

    def forward(self, signal: Tensor) -> Tensor:
        """The last sample or frame of an odd number is not read."""
        for block in self.conv_layers:
            signal = block(signal)
        return signal


class WeightNormedConv(nn.Module):
    """A grouped convolution whose kernel is gain times direction, with one gain for each tap.

    The norm of a tap runs over all its weights, whatever their channel (upstream: dim=2).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, taps, groups = config.width, config.position_kernel, config.position_groups
        self.groups = groups
        self.bias = nn.Parameter(torch.zeros(width))
        self.weight_g = nn.Parameter(torch.ones(1, 1, taps))
        self.weight_v = nn.Parameter(torch.randn(width, width // groups, taps))

    def kernel(self) -> Tensor:
        """(width, width / groups, taps)."""
        norm = self.weight_v.pow(2).sum(dim=(0, 1), keepdim=True).sqrt()
        return self.weight_g * (self.weight_v / norm)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, tokens) -> (n, width, tokens + 1) for an even number of taps."""
        padding = self.weight_v.shape[-1] // 2
        return F.conv1d(x, self.kernel(), self.bias, padding=padding, groups=self.groups)


class PositionConv(nn.Module):
    """What a token's neighbours say of where it is. (n, tokens, width) -> the same.

    An even kernel gives one token more than went in; the last one is dropped.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.pos_conv = nn.Sequential(WeightNormedConv(config))
        self.surplus = 1 - config.position_kernel % 2

    def conv(self) -> WeightNormedConv:
        """The convolution itself."""
        return cast(WeightNormedConv, self.pos_conv[0])

    def forward(self, x: Tensor) -> Tensor:
        """To be added to its input."""
        out: Tensor = self.pos_conv(x.transpose(1, 2))  # (n, width, tokens + 1)
        return F.gelu(out[..., : out.shape[-1] - self.surplus]).transpose(1, 2)


class Backbone(nn.Module):
    """Everything that pre-training and fine-tuning share: 207 tensors."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.train_extractor = config.train_extractor
        self.encoder = Encoder(config)
        self.feature_extractor = FeatureExtractor(config)
        self.post_extract_proj = nn.Linear(config.conv_channels, config.width)
        self.conv_pos = PositionConv(config)
        self.layer_norm = nn.LayerNorm(config.conv_channels, spec.EPSILON)

    def forward(self, signal: Tensor, hidden: Tensor | None) -> Tensor:
        """(n, 12, samples) -> (n, tokens, width)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.train_extractor):
            features = self.feature_extractor(signal)  # (n, 256, tokens)
        x = self.post_extract_proj(self.layer_norm(features.transpose(1, 2)))
        x = x + self.conv_pos(x)
        out: Tensor = self.encoder(x, hidden)
        return out


class RiskNetwork(nn.Module):
    """Backbone, mean over time, and a linear head: 209 tensors, 90,374,017 numbers."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Backbone(config)
        self.proj = nn.Linear(config.width, config.labels)

    def forward(self, signal: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Logits, (n, labels); arguments as for `pooled`."""
        logits: Tensor = self.proj(self.pooled(signal, padding_mask))
        return logits

    def pooled(self, signal: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """What the head reads, (n, width).

        signal: (n, 12, samples), millivolts, at least 16 samples, leads in the order of spec.LEADS.
        padding_mask: (n, samples) or (n, 12, samples) bool, True where a recording has ended and
        zeros follow. It hides padded tokens from attention and from the mean, but the first
        convolution's norm and the positional one still see the zeros: padded is not truncated.
        """
        hidden = hidden_tokens(padding_mask)
        return mean_of_nonzero(without_padding(self.encoder(signal, hidden), hidden))


def mean_of_nonzero(x: Tensor) -> Tensor:
    """(n, tokens, width) -> (n, width): the sum over the number of activations that are not 0.

    Upstream leaves padding out of the mean in this way; without padding it is a plain mean.
    """
    return x.sum(dim=1) / (x != 0).sum(dim=1).clamp(min=1)


def without_padding(x: Tensor, hidden: Tensor | None) -> Tensor:
    """(n, tokens, width) with zeros in the hidden tokens."""
    return x if hidden is None else x.masked_fill(hidden[..., None], 0.0)


def hidden_tokens(padding_mask: Tensor | None) -> Tensor | None:
    """(n, tokens) bool from a mask of samples; None where nothing is padded."""
    if padding_mask is None or not padding_mask.any():
        return None
    samples = padding_mask[:, 0] if padding_mask.dim() == 3 else padding_mask
    lengths = token_count((~samples).sum(dim=1))
    tokens = int(token_count(torch.tensor(samples.shape[1])))
    return torch.arange(tokens, device=samples.device) >= lengths[:, None]


def token_count(samples: Tensor) -> Tensor:
    """Tokens that so many samples give: floor((n - 2) / 2) + 1, once for each block."""
    for _ in range(spec.CONV_BLOCKS):
        samples = (samples - spec.CONV_KERNEL).div(spec.CONV_KERNEL, rounding_mode="floor") + 1
    return samples


def empty_network(config: NetworkConfig) -> RiskNetwork:
    """A network whose numbers are yet to be filled in, made without drawing any."""
    with torch.device("meta"):
        network = RiskNetwork(config)
    return network.to_empty(device="cpu")


def reset_head(network: RiskNetwork, *, generator: torch.Generator) -> None:
    """The head that a new fine-tune starts from: Xavier uniform weight (0.0883), zero bias."""
    with torch.no_grad():
        nn.init.xavier_uniform_(network.proj.weight, generator=generator)
        network.proj.bias.zero_()
