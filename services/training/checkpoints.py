"""The state of a run as one file: every tensor, and what else must come back, or nothing at all."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from services.errors import StateConflict
from services.training.state_file import read_state, write_state

_NETWORK, _AVERAGE, _OPTIMIZER, _RANDOM = "network.", "average.", "optimizer.", "random."


def save_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module | None,
    optimizer: Optimizer,
    facts: Mapping[str, Any],
) -> None:
    """All that the next update depends on, written beside, synced, renamed; `facts` is JSON."""
    tensors = _named(_NETWORK, network.state_dict())
    if average is not None:
        tensors |= _named(_AVERAGE, average.state_dict())
    optimizer_tensors, optimizer_facts = _optimizer_state(optimizer)
    random_tensors, random_facts = _random_state()
    write_state(
        path,
        tensors | optimizer_tensors | random_tensors,
        {"run": dict(facts), "optimizer": optimizer_facts, "random": random_facts},
    )


def load_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module | None,
    optimizer: Optimizer,
) -> dict[str, Any]:
    """Brings the run back to where the checkpoint was written; returns the run's facts.

    Raises StateConflict where the optimizer's parameters are grouped otherwise than they were.
    """
    tensors, facts = read_state(path)
    network.load_state_dict(_part(_NETWORK, tensors))
    if average is not None:
        average.load_state_dict(_part(_AVERAGE, tensors))
    _restore_optimizer(optimizer, _part(_OPTIMIZER, tensors), facts["optimizer"])
    _restore_random(_part(_RANDOM, tensors), facts["random"])
    run: dict[str, Any] = facts["run"]
    return run


def save_weights(path: Path, network: nn.Module, facts: Mapping[str, Any]) -> None:
    """The weights alone: what the best epoch is kept as."""
    write_state(path, _named(_NETWORK, network.state_dict()), {"run": dict(facts)})


def load_weights(path: Path, network: nn.Module) -> dict[str, Any]:
    """Fills the network; returns the facts beside."""
    tensors, facts = read_state(path)
    network.load_state_dict(_part(_NETWORK, tensors))
    run: dict[str, Any] = facts["run"]
    return run


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for place, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{place}.{name}"] = value
            else:
                numbers.setdefault(str(place), {})[name] = value
    return tensors, {"numbers": numbers, "groups": state["param_groups"]}


def _restore_optimizer(
    optimizer: Optimizer, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {int(p): dict(v) for p, v in facts["numbers"].items()}
    for key, tensor in tensors.items():
        place, name = key.split(".", 1)
        state.setdefault(int(place), {})[name] = tensor
    groups = [
        {name: tuple(value) if name == "betas" else value for name, value in group.items()}
        for group in facts["groups"]
    ]
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ValueError as error:
        raise StateConflict(
            "the checkpoint is of a release that grouped parameters otherwise; start the run anew: "
            f"{error}"
        ) from error


def _random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {f"{_RANDOM}torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        for place, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"{_RANDOM}cuda.{place}"] = state
    version, words, gauss = random.getstate()
    kind, keys, at, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - what libraries use
    return tensors, {
        "python": [version, list(words), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), at, has_gauss, cached],
    }


def _restore_random(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    torch.set_rng_state(tensors["torch"])
    for name, state in tensors.items():
        place = int(name.removeprefix("cuda.")) if name.startswith("cuda.") else -1
        if 0 <= place < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, place)
    version, words, gauss = facts["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, at, has_gauss, cached = facts["numpy"]
    np.random.set_state((kind, np.asarray(keys, np.uint32), at, has_gauss, cached))  # noqa: NPY002
