"""`ectopy deepecg`: what it says to files that are not what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ectopy.cli import app
from services.errors import EctopyError, MalformedInput, UnusableInput


def run(*arguments: object) -> EctopyError | int:
    done = CliRunner().invoke(app, ["deepecg", *map(str, arguments)])
    if isinstance(done.exception, EctopyError):
        return done.exception
    return done.exit_code


def logits(tmp_path: Path, array: object) -> EctopyError | int:
    """The command on an array and a checkpoint that is none: the array is looked at first."""
    (tmp_path / "c.pt").write_bytes(b"nothing")
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    files = ("--checkpoint", tmp_path / "c.pt", "--input", tmp_path / "x.npy")
    return run("logits", *files, "--out", tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((1, 12, 2500)), "float32 expected, found float64"),
        (np.zeros((12, 2500), np.float32), "n x 12 x 2500 expected, found 12 x 2500"),
        (np.zeros((1, 2500, 12), np.float32), "found 1 x 2500 x 12"),
        (np.zeros((0, 12, 2500), np.float32), "found 0 x 12 x 2500"),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path: Path, array: object, told: str) -> None:
    error = logits(tmp_path, array)

    assert isinstance(error, UnusableInput)
    assert told in error.detail


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    error = logits(tmp_path, np.array([{"a": 1}], dtype=object))

    assert isinstance(error, MalformedInput)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    error = logits(tmp_path, np.zeros((1, 12, 2500), np.float32))

    assert isinstance(error, MalformedInput)
    assert error.detail.startswith("c.pt: ")
    assert not (tmp_path / "y.npy").exists()


def test_info_refuses_a_state_dict_of_something_else(tmp_path: Path) -> None:
    torch.save({"model": {"linear.weight": torch.zeros(2, 2)}}, tmp_path / "c.pt")
    error = run("info", tmp_path / "c.pt")

    assert isinstance(error, MalformedInput)
    assert "1 tensors, expected 215" in error.detail


def test_a_head_is_not_reset_in_place(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(b"x")
    error = run("reset-head", tmp_path / "c.pt", tmp_path / "c.pt")

    assert isinstance(error, UnusableInput)
    assert "another file" in error.detail


def test_help_needs_no_torch() -> None:
    check = "import sys, ectopy.commands.deepecg; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
