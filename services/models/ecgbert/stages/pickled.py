"""The guide's .pkl files, written for programs that expect them. Nothing here ever reads one."""

from __future__ import annotations

import pickle  # noqa: TID251 - dumps only
from pathlib import Path
from typing import Any


def write_pickle(value: Any, path: Path) -> None:
    """Plain lists and arrays, beside and renamed."""
    beside = path.with_suffix(".pkl.partial")
    with beside.open("wb") as stream:
        pickle.dump(value, stream, protocol=4)
    beside.replace(path)
