"""Which parameters stand still now, and learning rates that fall towards a network's input."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from services.training.plan import Freeze


def freeze(
    network: nn.Module, held: Sequence[Freeze], *, never: frozenset[str] = frozenset()
) -> str:
    """Lets all parameters learn but those that are held; says how many do.

    never: names of those that do not learn whatever the plan says. A batch norm that is held
    altogether keeps its running figures too.
    """
    learning = frozen = 0
    for name, parameter in network.named_parameters():
        stands = name in never or any(fnmatchcase(name, each.pattern) for each in held)
        parameter.requires_grad_(not stands)
        learning += parameter.numel() if parameter.requires_grad else 0
        frozen += 0 if parameter.requires_grad else parameter.numel()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            module.train(module.weight.requires_grad)
    return f"{learning} parameters learn, {frozen} stand still"


def parameter_groups(
    network: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float = 0.01,
    layer_decay: float = 1.0,
    layers: Sequence[str | tuple[str, ...]] = (),
) -> list[dict[str, Any]]:
    """Groups for an optimizer whose rate falls by `layer_decay` a layer towards the input.

    layers: prefixes of parameter names from the input to the output, several where parts lie side
    by side; what matches none (the head) has the full rate, the last of them once `layer_decay`,
    and so on. Biases and norms (fewer than two axes) are not decayed.
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
