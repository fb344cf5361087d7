"""Published .pt files, and files that only look like them: nothing in one is ever run."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.errors import MalformedInput, TooLarge
from services.models.public_checkpoints import (
    InertNamespace,
    InertScalar,
    called_names,
    read_public_checkpoint,
    write_public_checkpoint,
)


class Executes:
    """Unpickling this runs a shell command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def archive(path: Path, pickled: bytes, **storages: bytes) -> Path:
    """What torch.save writes, around any pickle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        made.writestr("archive/data.pkl", pickled)
        made.writestr("archive/byteorder", "little")
        for name, raw in storages.items():
            made.writestr(f"archive/data/{name}", raw)
        made.writestr("archive/version", "3\n")
    return path


def test_containers_numbers_text_and_tensors_come_back(tmp_path: Path) -> None:
    content = {"model": {"a": torch.arange(6.0).view(2, 3)}, "args": None, "lr": [5e-05, True, "x"]}
    write_public_checkpoint(content, tmp_path / "a.pt")
    found = read_public_checkpoint(tmp_path / "a.pt")

    assert torch.equal(found["model"]["a"], content["model"]["a"])
    assert (found["args"], found["lr"]) == (None, [5e-05, True, "x"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_leftovers_of_old_training_loops_become_inert(tmp_path: Path) -> None:
    content = {"best": np.float64(0.5), "args": argparse.Namespace(lr=[1.0]), "model": {}}
    torch.save(content, tmp_path / "a.pt")
    found = read_public_checkpoint(tmp_path / "a.pt")

    assert isinstance(found["best"], InertScalar)
    assert isinstance(found["args"], InertNamespace)
    assert found["args"].lr == [1.0]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("bare", [False, True])
def test_a_file_that_runs_a_command_is_refused_and_the_command_named(
    tmp_path: Path, protocol: int, bare: bool
) -> None:
    proof = tmp_path / "it ran"
    raw = pickle.dumps({"model": Executes(f"touch '{proof}'")}, protocol=protocol)
    file = tmp_path / "evil.pt"
    if bare:
        file.write_bytes(raw)
    else:
        archive(file, raw)

    with pytest.raises(MalformedInput, match=r"evil.pt: refused, nothing was run.*posix\.system"):
        read_public_checkpoint(file)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "bytearray"),  # harmless to torch, and ten gigabytes on request
        ("builtins", "getattr"),
        ("torch.hub", "load"),
        ("numpy", "load"),
        ("subprocess", "Popen"),
    ],
)
def test_any_other_name_is_refused_and_named(tmp_path: Path, module: str, name: str) -> None:
    raw = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."
    file = archive(tmp_path / "a.pt", raw)

    with pytest.raises(MalformedInput, match=f"would call {module}.{name}"):
        read_public_checkpoint(file)


def test_names_are_found_behind_the_memo_and_in_a_damaged_pickle() -> None:
    raw = pickle.dumps([Executes("true"), Executes("false")], protocol=4)

    assert called_names(raw) == ["posix.system"]
    with pytest.raises(ValueError) as problem:  # noqa: PT011 - what it found is in its arguments
        called_names(raw[:-8])
    assert problem.value.args[1] == ["posix.system"]


def test_a_truncated_file_says_so(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(1000)}}, tmp_path / "a.pt")
    raw = (tmp_path / "a.pt").read_bytes()
    for kept in (len(raw) - 1, len(raw) // 2, 100, 0):
        (tmp_path / "a.pt").write_bytes(raw[:kept])
        with pytest.raises(MalformedInput, match="cut off"):
            read_public_checkpoint(tmp_path / "a.pt")


def test_ten_gigabytes_are_refused_by_their_length(tmp_path: Path) -> None:
    with (tmp_path / "a.pt").open("wb") as file:
        file.truncate(10 * 1024**3)  # sparse: takes no room

    with pytest.raises(TooLarge, match="10,737,418,240 bytes"):
        read_public_checkpoint(tmp_path / "a.pt")


def test_ten_gigabytes_are_refused_where_only_the_directory_declares_them(tmp_path: Path) -> None:
    file = archive(tmp_path / "a.pt", pickle.dumps({}, protocol=2), **{"0": b"1234"})
    raw = bytearray(file.read_bytes())
    entry = raw.rindex(b"archive/data/0") - 46  # its record in the central directory
    struct.pack_into("<II", raw, entry + 20, 3_000_000_000, 3_000_000_000)
    file.write_bytes(raw)

    with pytest.raises(MalformedInput, match=r"data/0 declares 3,000,000,000 bytes, the whole"):
        read_public_checkpoint(file)
    with pytest.raises(TooLarge, match="declares 3,000,000"):
        read_public_checkpoint(file, max_bytes=1_000_000)


def test_a_tensor_longer_than_its_bytes_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(25)}, tmp_path / "b.pt")
    with zipfile.ZipFile(tmp_path / "b.pt") as made:
        name = next(n for n in made.namelist() if n.endswith("data.pkl"))
        pickled = made.read(name)
    # both the storage's length and the tensor's shape: 25 -> 255, which the file does not hold
    longer = pickled.replace(b"K\x19", b"K\xff")
    file = archive(tmp_path / "a.pt", longer, **{"0": bytes(100)})

    with pytest.raises(MalformedInput, match="not a readable checkpoint"):
        read_public_checkpoint(file)


def test_compressed_doubled_or_missing_entries_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("archive/data.pkl", bytes(10_000))
    with pytest.raises(MalformedInput, match="compressed"):
        read_public_checkpoint(tmp_path / "a.pt")

    with zipfile.ZipFile(tmp_path / "a.pt", "w") as made:
        made.writestr("archive/other", b"")
    with pytest.raises(MalformedInput, match=r"one data\.pkl was expected"):
        read_public_checkpoint(tmp_path / "a.pt")

    with zipfile.ZipFile(tmp_path / "a.pt", "w") as made:
        made.writestr("archive/data.pkl", b"")
        made.writestr("archive/code/constants.pkl", b"")  # a TorchScript archive: code
    with pytest.raises(MalformedInput, match=r"one data\.pkl was expected"):
        read_public_checkpoint(tmp_path / "a.pt")


def test_a_damaged_byte_in_the_pickle_is_a_refusal_not_a_crash(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save({"model": {"a": torch.zeros(3)}, "cfg": {"x": [1, 2.0, "three"]}}, whole)
    with zipfile.ZipFile(whole) as made:
        name = next(n for n in made.namelist() if n.endswith("data.pkl"))
        pickled = made.read(name)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(pickled)
        damaged[rng.integers(2, len(pickled))] = rng.integers(256)
        file = archive(tmp_path / "a.pt", bytes(damaged), **{"0": bytes(12)})
        try:
            read_public_checkpoint(file)
        except MalformedInput:
            refused += 1
    assert refused > 50


def test_a_refusal_never_tells_the_folder(tmp_path: Path) -> None:
    file = archive(tmp_path / "a.pt", b"\x80\x02}q\x00(X\x01\x00\x00\x00au.")
    with pytest.raises(MalformedInput) as problem:
        read_public_checkpoint(file)
    assert str(tmp_path) not in problem.value.detail


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        write_public_checkpoint({"model": lambda: None}, tmp_path / "a.pt")
    assert list(tmp_path.iterdir()) == []
