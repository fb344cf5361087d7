"""The same network for answering requests: fewer steps, frozen, no padding, no gradients.

Next to `network`: the positional kernel is multiplied out once, q, k and v are one product, the
convolutions (whose kernels do not overlap) are products over pairs of frames, and tokens stay
token-major throughout. Logits agree with the plain network to 1e-5 in float32.
"""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from services.models.deepecg import spec
from services.models.deepecg.dense import Dense, GroupedConv
from services.models.deepecg.network import EncoderLayer, PositionConv, RiskNetwork, mean_of_nonzero


class FusedExtractor(nn.Module):
    """(n, 12, samples) -> (n, tokens, 256), each block one product over pairs of frames."""

    def __init__(self, network: RiskNetwork) -> None:
        super().__init__()
        extractor = network.encoder.feature_extractor
        norm = extractor.norm()
        self.norm_weight, self.norm_bias = _frozen(norm.weight), _frozen(norm.bias)
        # (out, in, 2) -> (out, 2 * in), the earlier frame's inputs first
        self.kernels = nn.ParameterList(
            _frozen(kernel.permute(0, 2, 1).flatten(1)) for kernel in extractor.kernels()
        )

    def forward(self, signal: Tensor) -> Tensor:
        """signal: (n, 12, samples) mV."""
        x = signal.transpose(1, 2)  # (n, samples, 12)
        for block, kernel in enumerate(self.kernels):
            n, frames, channels = x.shape
            pairs = x[:, : frames // 2 * 2].reshape(n, frames // 2, 2 * channels)
            x = F.linear(pairs, kernel)  # (n, frames / 2, 256)
            if block == 0:
                x = self._normalised(x)
            x = F.gelu(x)
        return x

    def _normalised(self, x: Tensor) -> Tensor:
        """Each channel over time; in float32, whose range the sums need."""
        variance, mean = torch.var_mean(x.float(), dim=1, keepdim=True, correction=0)
        scale = self.norm_weight * torch.rsqrt(variance + spec.EPSILON)
        return (x * scale + (self.norm_bias - mean * scale)).to(x.dtype)


class FusedPosition(nn.Module):
    """The positional convolution with its kernel multiplied out. (n, tokens, width)."""

    def __init__(self, position: PositionConv) -> None:
        super().__init__()
        conv = position.conv()
        self.surplus = position.surplus
        self.conv = GroupedConv(conv.kernel(), conv.bias, groups=conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        """To be added to its input."""
        out: Tensor = self.conv(x)
        return out[:, : out.shape[1] - self.surplus]


class FusedLayer(nn.Module):
    """One encoder layer with q, k and v as one product. (n, tokens, width)."""

    def __init__(self, layer: EncoderLayer) -> None:
        super().__init__()
        attention = layer.self_attn
        thirds = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.heads = attention.heads
        self.qkv = Dense(
            torch.cat([part.weight for part in thirds]), torch.cat([part.bias for part in thirds])
        )
        self.out = Dense(attention.out_proj.weight, attention.out_proj.bias)
        self.attention_norm = deepcopy(layer.self_attn_layer_norm)
        self.fc1 = Dense(layer.fc1.weight, layer.fc1.bias, gelu=True)
        self.fc2 = Dense(layer.fc2.weight, layer.fc2.bias)
        self.final_norm = deepcopy(layer.final_layer_norm)

    def forward(self, x: Tensor) -> Tensor:
        """No token is hidden: recordings here are never padded."""
        n, tokens, width = x.shape
        qkv = self.qkv(x).view(n, tokens, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (n, heads, tokens, 64)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        x = self.attention_norm(x + self.out(mixed.reshape(n, tokens, width)))
        out: Tensor = self.final_norm(x + self.fc2(self.fc1(x)))
        return out


class FusedRiskNetwork(nn.Module):
    """Logits of windows; a copy that its source does not reach into."""

    def __init__(self, network: RiskNetwork) -> None:
        super().__init__()
        backbone = network.encoder
        self.extractor = FusedExtractor(network)
        self.feature_norm = deepcopy(backbone.layer_norm)
        self.projection = deepcopy(backbone.post_extract_proj)
        self.position = FusedPosition(backbone.conv_pos)
        self.input_norm = deepcopy(backbone.encoder.layer_norm)
        self.layers = nn.ModuleList(
            FusedLayer(cast(EncoderLayer, layer)) for layer in backbone.encoder.layers
        )
        self.head = deepcopy(network.proj)
        self.requires_grad_(False).eval()

    def compute_in(self, dtype: torch.dtype) -> None:
        """Projection, positions and layers, 99 % of the work, in another type.

        Convolutions, pooling and head stay in float32: a signal of 10 mV with its details, and a
        logit, have more digits than a half. Measure what it moves before offering it.
        """
        for part in (self.projection, self.position, self.input_norm, self.layers):
            part.to(dtype)

    def forward(self, signal: Tensor) -> Tensor:
        """(n, 12, samples) mV -> (n, labels)."""
        pooled = self.pooled(signal)
        if pooled.is_cuda:
            logits: Tensor = self.head(pooled)
            return logits
        # on CPUs a product of several rows sums in another order than that of one, and this is the
        # only step in which batch-mates would change a window's logit, in its last bit
        return torch.cat([self.head(row) for row in torch.split(pooled, 1)])

    def pooled(self, signal: Tensor) -> Tensor:
        """What the head reads, (n, width)."""
        features = self.feature_norm(self.extractor(signal)).to(self.projection.weight.dtype)
        x = self.projection(features)  # (n, tokens, width)
        x = self.input_norm(x + self.position(x))
        for layer in self.layers:
            x = layer(x)
        return mean_of_nonzero(x.float())


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)
