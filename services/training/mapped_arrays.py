"""Arrays that grow record by record on the disk and are read through memory maps (no torch).

So a dataset larger than memory can be trained on: preparing it holds one record at a time, and a
batch reads its own rows.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.disk import one_at_a_time

_DONE = "arrays.json"


def mapped_arrays(
    folder: Path, parts: Iterable[Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """Arrays by name, read-only: all parts one after another along the first axis.

    parts: each with the same names, types and shapes but for the first axis. They are gone through
    only where the folder is not complete yet; what an interrupted call left is begun again. Of
    several processes that ask at once, one writes and the others wait.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder.with_name(folder.name + ".lock")):
        if not (folder / _DONE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            layout = _written(folder, parts)
            beside = folder / (_DONE + ".partial")
            beside.write_text(json.dumps(layout))
            beside.replace(folder / _DONE)
    layout = json.loads((folder / _DONE).read_text())
    return {name: _mapped(folder / name, **entry) for name, entry in layout.items()}


def _written(folder: Path, parts: Iterable[Mapping[str, NDArray[Any]]]) -> dict[str, Any]:
    layout: dict[str, Any] = {}
    with ExitStack() as files:
        opened = {}
        for part in parts:
            for name, array in part.items():
                if name not in opened:
                    opened[name] = files.enter_context((folder / name).open("wb"))
                    layout[name] = {"dtype": array.dtype.str, "shape": [0, *array.shape[1:]]}
                entry = layout[name]
                if [array.dtype.str, *array.shape[1:]] != [entry["dtype"], *entry["shape"][1:]]:
                    raise ValueError(f"{name}: {array.dtype} {array.shape} beside {entry}")
                entry["shape"][0] += len(array)
                opened[name].write(np.ascontiguousarray(array).data)
    return layout


def _mapped(path: Path, *, dtype: str, shape: list[int]) -> NDArray[Any]:
    if math.prod(shape) == 0:  # an empty file cannot be mapped
        return np.empty(shape, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=tuple(shape))
