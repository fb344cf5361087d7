"""Tensors and JSON in one safetensors file that is there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from services.disk import sync

_FACTS = "facts"


def write_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Written beside, synced to the disk, renamed: a crash leaves the file as it was before."""
    beside = path.with_name(path.name + ".partial")
    save_file(_apart(tensors), beside, metadata={_FACTS: json.dumps(facts)})
    sync(beside)
    beside.replace(path)
    sync(path.parent)


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_state` wrote, on the CPU. Nothing in the file is executed."""
    with safe_open(path, framework="pt", device="cpu") as file:
        facts: dict[str, Any] = json.loads(file.metadata()[_FACTS])
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors no two of which share memory, as the format wants."""
    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().contiguous()
        shared = plain.numel() > 0 and plain.untyped_storage().data_ptr() in seen
        apart[name] = plain.clone() if shared else plain
        seen.add(apart[name].untyped_storage().data_ptr())
    return apart
