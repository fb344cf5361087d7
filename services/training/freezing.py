"""Which parameters stand still now, and learning rates that fall towards a network's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from services.training.plan import EnginePlan


def freeze(network: nn.Module, plan: EnginePlan, *, epoch: int, update: int) -> str | None:
    """Lets those parameters learn that the plan does not hold now; says so where it changed."""
    if not plan.freeze:
        return None
    changed = False
    frozen = learning = 0
    for name, parameter in network.named_parameters():
        learns = not any(each.holds(name, epoch=epoch, update=update) for each in plan.freeze)
        changed = changed or parameter.requires_grad != learns
        parameter.requires_grad_(learns)
        learning += parameter.numel() if learns else 0
        frozen += 0 if learns else parameter.numel()
    return f"{learning} parameters learn, {frozen} stand still" if changed else None


def parameter_groups(
    network: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float = 0.01,
    layer_decay: float = 1.0,
    layers: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Groups for an optimizer whose rate falls by `layer_decay` a layer towards the input.

    layers: prefixes of parameter names from the input to the output; what matches none (the head)
    has the full rate, the last of them once `layer_decay`, and so on. Biases and norms (fewer than
    two axes) are not decayed.
    """
    by_group: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        at = next((i for i, prefix in enumerate(layers) if name.startswith(prefix)), len(layers))
        by_group.setdefault((at, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": by_group[at, decayed],
            "lr": learning_rate * layer_decay ** (len(layers) - at),
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for at, decayed in sorted(by_group)
    ]
