"""The only place that opens weight files: safetensors, checked before they are read, never run."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

from services.errors import MalformedInput

MAX_HEADER_BYTES = 4 * 1024 * 1024
_BYTES_OF = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
_DTYPE_OF = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_SHOWN = 5  # keys that an error names


@dataclass(frozen=True)
class TensorInfo:
    """What a file says of a tensor before it is read."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def stored_tensors(path: Path) -> dict[str, TensorInfo]:
    """Names, shapes and types in a safetensors file, its sizes checked; reads the header alone.

    Raises MalformedInput naming the file and what does not add up.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise MalformedInput(f"{path.name}: not a safetensors file (its header has no length)")
        header = _parsed(path, file.read(length))
    data_bytes = size - 8 - length
    return {
        name: _checked(path, name, entry, data_bytes)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def load_strictly(network: nn.Module, path: Path, *, absent: tuple[str, ...] = ()) -> None:
    """Fills a network from a safetensors file that must fit it exactly.

    absent: prefixes of the tensors that the file must not have; they stay as they are.
    Raises MalformedInput naming the first keys that are missing, unexpected or of another shape.
    """
    stored = stored_tensors(path)
    wanted = {k: t for k, t in network.state_dict().items() if not k.startswith(absent)}
    missing = [name for name in wanted if name not in stored]
    unexpected = [name for name in stored if name not in wanted]
    if missing or unexpected:
        raise MalformedInput(
            f"{path.name}: other tensors than the network has; "
            f"missing {_some(missing)}, unexpected {_some(unexpected)}"
        )
    for name, tensor in wanted.items():
        info = stored[name]
        if info.shape != tuple(tensor.shape) or info.dtype != tensor.dtype:
            raise MalformedInput(
                f"{path.name}: {name} is {info.dtype} {list(info.shape)}, "
                f"expected {tensor.dtype} {list(tensor.shape)}"
            )
    network.load_state_dict(load_file(path), strict=not absent)


def save(network: nn.Module, path: Path) -> None:
    """Every parameter and buffer, written beside and renamed."""
    save_tensors(network.state_dict(), path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Tensors by name, written beside and renamed."""
    beside = path.with_suffix(".partial")
    beside.write_bytes(serialized({name: kept.contiguous() for name, kept in tensors.items()}))
    beside.replace(path)


def _parsed(path: Path, raw: bytes) -> Mapping[str, Any]:
    try:
        header = json.loads(raw)
    except ValueError as problem:
        raise MalformedInput(f"{path.name}: the safetensors header is not JSON") from problem
    if not isinstance(header, dict):
        raise MalformedInput(f"{path.name}: the safetensors header is not an object")
    return header


def _checked(path: Path, name: str, entry: Any, data_bytes: int) -> TensorInfo:
    try:
        kind, shape = str(entry["dtype"]), tuple(int(size) for size in entry["shape"])
        first, end = (int(offset) for offset in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as problem:
        raise MalformedInput(
            f"{path.name}: the entry of {name} is not one of safetensors"
        ) from problem
    if kind not in _DTYPE_OF:
        raise MalformedInput(f"{path.name}: {name} has the type {kind}, which is not read here")
    expected = _BYTES_OF[kind] * math.prod(shape)
    if min(shape, default=0) < 0 or not 0 <= first <= end <= data_bytes or end - first != expected:
        raise MalformedInput(
            f"{path.name}: {name} takes bytes {first} to {end} of {data_bytes}, "
            f"expected {expected} bytes for {kind} {list(shape)}"
        )
    return TensorInfo(shape, _DTYPE_OF[kind])


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
