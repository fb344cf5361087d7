"""A moving average of a network's weights: often better than the weights themselves."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn


class Average:
    """A copy of the network whose floating-point tensors follow slowly, and the others at once."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        # the tensors are changed in place by all that trains, so their lists are made once
        pairs = list(
            zip(self.network.state_dict().values(), network.state_dict().values(), strict=True)
        )
        self._slow = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._decay = decay

    @classmethod
    def of(cls, network: nn.Module, decay: float | None) -> Average | None:
        """None where no average is wanted."""
        return None if decay is None else cls(network, decay)

    @torch.no_grad()
    def follow(self, *, first: bool) -> None:
        """After an update of the network; the first one is taken as it is."""
        for ours, theirs in self._others + (self._slow if first else []):
            ours.copy_(theirs)
        if self._slow and not first:
            torch._foreach_lerp_(
                [ours for ours, _ in self._slow],
                [theirs for _, theirs in self._slow],
                1 - self._decay,
            )
