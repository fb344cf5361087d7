from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.training.mapped_arrays import mapped_arrays


def parts() -> Iterator[dict[str, NDArray[Any]]]:
    yield {"x": np.ones((2, 3), np.float32), "label": np.array([1, 2])}
    yield {"x": np.zeros((1, 3), np.float32), "label": np.array([3])}


def nothing() -> Iterator[dict[str, NDArray[Any]]]:
    raise AssertionError("was prepared again")
    yield {}


def test_parts_follow_one_another_and_are_prepared_once(tmp_path: Path) -> None:
    mapped_arrays(tmp_path / "a", parts())
    found = mapped_arrays(tmp_path / "a", nothing())
    assert isinstance(found["x"], np.memmap)
    assert found["x"].tolist() == [[1.0] * 3, [1.0] * 3, [0.0] * 3]
    assert found["label"].tolist() == [1, 2, 3]


def test_what_an_interrupted_call_left_is_begun_again(tmp_path: Path) -> None:
    def interrupted() -> Iterator[dict[str, NDArray[Any]]]:
        yield from parts()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mapped_arrays(tmp_path / "a", interrupted())
    assert len(mapped_arrays(tmp_path / "a", parts())["label"]) == 3


def test_no_rows_are_an_empty_array(tmp_path: Path) -> None:
    found = mapped_arrays(tmp_path / "a", iter([{"x": np.empty((0, 4), np.float32)}]))
    assert found["x"].shape == (0, 4)


def test_parts_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x: float32"):
        mapped_arrays(
            tmp_path / "a", iter([{"x": np.zeros((1, 2), np.float32)}, {"x": np.zeros(3, "f4")}])
        )
