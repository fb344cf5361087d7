from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from services.errors import MalformedInput
from services.models import weights


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    saved, other = network(), nn.Linear(3, 2)
    weights.save(saved, tmp_path / "w.safetensors")
    weights.load_strictly(other, tmp_path / "w.safetensors")
    assert torch.equal(saved.weight, other.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_missing_and_unexpected_tensors_are_named(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2, 3), "extra": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(MalformedInput, match=r"missing bias, unexpected extra"):
        weights.load_strictly(network(), tmp_path / "w.safetensors")


def test_another_shape_is_refused_with_both_shapes(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(
        MalformedInput, match=r"weight is torch.float32 \[2, 4\], expected .*\[2, 3\]"
    ):
        weights.load_strictly(network(), tmp_path / "w.safetensors")


def test_another_type_is_refused(tmp_path: Path) -> None:
    tensors = {"weight": torch.zeros(2, 3).double(), "bias": torch.zeros(2)}
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(MalformedInput, match="float64"):
        weights.load_strictly(network(), tmp_path / "w.safetensors")


def written(path: Path, header: dict[str, object], data: bytes = b"") -> Path:
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused_unread(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}
    with pytest.raises(MalformedInput, match="weight takes bytes"):
        weights.stored_tensors(written(tmp_path / "w.safetensors", {"weight": entry}))


def test_a_shape_that_does_not_fit_its_bytes_is_refused(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}
    path = written(tmp_path / "w.safetensors", {"weight": entry}, b"\0" * 8)
    with pytest.raises(MalformedInput, match="expected 12 bytes"):
        weights.stored_tensors(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\x02}q\0." * 20, b"\0" * 64])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(MalformedInput, match=r"^w.safetensors: "):
        weights.stored_tensors(path)
