"""Matrix product and convolution with bias and GELU, laid out for the processor they run on.

On CPUs that oneDNN knows, a weight is rearranged once for its kernels: measured 1.1 to 1.5 times
the rate of the ordinary product for this network's shapes, on a Zen processor with AVX-512. The
ordinary convolution rearranges its weight each time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from services.models.deepecg import spec

# what the rearrangements are made for; other sizes work too
_ROWS = 624  # four windows
_TOKENS = 156  # one window


class Dense(nn.Module):
    """x (..., inputs) -> (..., outputs). Frozen; holds a copy of the weight it is given."""

    def __init__(self, weight: Tensor, bias: Tensor, *, gelu: bool = False) -> None:
        super().__init__()
        self.gelu = gelu
        self.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
        self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        self._packed: Tensor | None = None

    def pack(self) -> None:
        """Rearranges the weight for this CPU; from here on it cannot move to another device."""
        self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, _ROWS)
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """In float32 on a CPU when packed, else in the type and on the device of the weight."""
        if self._packed is not None:
            then = "gelu" if self.gelu else "none"
            out: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self._packed, self.bias, then, [], "none"
            )
            return out
        out = F.linear(x, self.weight, self.bias)
        return F.gelu(out) if self.gelu else out


class GroupedConv(nn.Module):
    """Over tokens, with half the taps as padding on each side, then GELU. Frozen.

    (n, tokens, width) -> the same, with one token more where the number of taps is even.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, groups: int) -> None:
        """weight: (width, width / groups, taps), of which it holds a copy."""
        super().__init__()
        self.groups, self.padding = groups, weight.shape[-1] // 2
        self.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
        self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        self._packed: Tensor | None = None

    def pack(self) -> None:
        """As `Dense.pack`."""
        sizes = [1, len(self.weight), 1, _TOKENS]
        flat = self.weight[:, :, None]  # oneDNN is reached by way of images one pixel high
        self._packed = torch.ops.mkldnn._reorder_convolution_weight(
            flat, [0, self.padding], [1, 1], [1, 1], self.groups, sizes
        )
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """In float32 on a CPU when packed, else in the type and on the device of the weight."""
        by_width = x.transpose(1, 2)
        if self._packed is None:
            return F.gelu(
                F.conv1d(by_width, self.weight, self.bias, padding=self.padding, groups=self.groups)
            ).transpose(1, 2)
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            by_width[:, :, None], self._packed, self.bias, [0, self.padding], [1, 1], [1, 1],
            self.groups, "gelu", [], "none",
        )  # fmt: skip
        return out[:, :, 0].transpose(1, 2)


def can_pack() -> bool:
    """Whether this CPU and this build of torch do it, and arrive at the same numbers."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x = torch.linspace(-2, 2, 48).view(2, 3, 8)
    trials: tuple[Dense | GroupedConv, ...] = (
        Dense(torch.linspace(-1, 1, 24).view(3, 8), torch.ones(3), gelu=True),
        GroupedConv(torch.linspace(-1, 1, 128).view(8, 4, 4), torch.ones(8), groups=2),
    )
    try:
        with torch.inference_mode():
            return all(_packs(trial, x) for trial in trials)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False


def _packs(trial: Dense | GroupedConv, x: Tensor) -> bool:
    expected = trial(x)
    trial.pack()
    return torch.allclose(trial(x), expected, atol=spec.EPSILON)


def pack_all(module: nn.Module) -> bool:
    """Packs every part of a module that can be, where this machine can; tells whether it did."""
    if not can_pack():
        return False
    for part in module.modules():
        if isinstance(part, Dense | GroupedConv):
            part.pack()
    return True
