"""Arrays out of joblib files, as joblib wrote them, and damaged."""

from __future__ import annotations

import random
from pathlib import Path

import joblib
import numpy as np
import pytest

from services.errors import MalformedInput, TooLarge
from services.models.ecgbert.public import joblib_arrays
from services.models.ecgbert.public.joblib_arrays import read_joblib, scalar_value


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.int64).reshape(2, 3, 4),
        np.asfortranarray(np.random.default_rng(0).normal(size=(7, 5))),
        np.arange(5, dtype=np.float32)[::2],
        np.array(3.5),
        np.arange(6, dtype=">i4"),
        np.array([True, False]),
    ],
    ids=["3d", "fortran", "strided", "0d", "big-endian", "bool"],
)
def test_an_array_comes_back_as_it_was(array: np.ndarray, tmp_path: Path) -> None:
    joblib.dump({"before": 1, "array": array, "after": [array, "x"]}, tmp_path / "a.pkl")
    value = read_joblib(tmp_path / "a.pkl", classes=())
    for back in (value["array"], value["after"][0]):
        np.testing.assert_array_equal(back, array)
        assert back.dtype == array.dtype
    assert (value["before"], value["after"][1]) == (1, "x")


def test_a_numpy_number_comes_back(tmp_path: Path) -> None:
    joblib.dump(np.float64(0.25), tmp_path / "a.pkl")
    assert scalar_value(read_joblib(tmp_path / "a.pkl", classes=())) == 0.25


@pytest.mark.parametrize(
    "array",
    [np.array(["text"]), np.array([1 + 2j]), np.zeros(2, dtype=[("a", "i4")]), np.array([{}])],
    ids=["text", "complex", "record", "object"],
)
def test_only_plain_numbers_are_read(array: np.ndarray, tmp_path: Path) -> None:
    joblib.dump(array, tmp_path / "a.pkl")
    with pytest.raises(MalformedInput):
        read_joblib(tmp_path / "a.pkl", classes=())


def test_an_array_longer_than_its_file_takes_no_memory(tmp_path: Path) -> None:
    joblib.dump(np.zeros(200), tmp_path / "a.pkl")
    content = (tmp_path / "a.pkl").read_bytes()
    assert content.count(b"K\xc8\x85") == 1  # the shape (200,)
    # a shape of 2**40 in the same place
    (tmp_path / "a.pkl").write_bytes(
        content.replace(b"K\xc8\x85", b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85")
    )
    with pytest.raises(MalformedInput, match="bytes"):
        read_joblib(tmp_path / "a.pkl", classes=())


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    joblib.dump(np.zeros(200), tmp_path / "a.pkl", compress=3)
    with pytest.raises(MalformedInput, match="uncompressed joblib"):
        read_joblib(tmp_path / "a.pkl", classes=())


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib_arrays, "MAX_FILE_BYTES", 10)
    (tmp_path / "a.pkl").write_bytes(b"\x80" * 11)
    with pytest.raises(TooLarge, match=r"a\.pkl"):
        read_joblib(tmp_path / "a.pkl", classes=())


def test_any_damage_is_a_refusal_or_a_value(tmp_path: Path) -> None:
    """Cut off at every byte, and three hundred times with bytes changed: never another error."""
    file, rng = tmp_path / "a.pkl", random.Random(4)
    joblib.dump({"a": np.arange(4), "b": [1.5, "x", np.float32(2)]}, file)
    whole = file.read_bytes()
    broken = [whole[:n] for n in range(len(whole))]
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        broken.append(bytes(changed))
    refused = 0
    for content in broken:
        file.write_bytes(content)
        try:
            read_joblib(file, classes=())
        except MalformedInput:
            refused += 1
    assert refused > len(whole)
