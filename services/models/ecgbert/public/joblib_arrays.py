"""Arrays and attributes out of an uncompressed joblib file, nothing in it executed."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import MalformedInput, TooLarge
from services.models.ecgbert.public.inert_pickle import InertReader, Name, StandIn

MAX_FILE_BYTES = 256 * 1024 * 1024  # the public files have 2 MB

_WRAPPER = Name("joblib.numpy_pickle", "NumpyArrayWrapper")
_NDARRAY = Name("numpy", "ndarray")
_DTYPE = Name("numpy", "dtype")
# numpy 1 and numpy 2 spell it differently
_SCALARS = (Name("numpy.core.multiarray", "scalar"), Name("numpy._core.multiarray", "scalar"))
_ARRAY_NAMES = (_WRAPPER, _NDARRAY, _DTYPE, *_SCALARS)

_PLAIN_TYPE = re.compile(r"[iuf][1248]|b1")


def read_joblib(path: Path, *, classes: tuple[Name, ...]) -> Any:
    """The file's value: plain values, arrays, and a `StandIn` for each object of these classes.

    Numpy scalars stay `StandIn`s; `scalar_value` reads them. Raises TooLarge, and MalformedInput
    for every file that is of another kind or does more than hold values, saying what it tried.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise TooLarge(f"{path.name}: more than {MAX_FILE_BYTES:,} bytes")
    reader = InertReader(
        path.read_bytes(),
        file_name=path.name,
        may_name=(*_ARRAY_NAMES, *classes),
        may_call=(_DTYPE, *_SCALARS),
        when_built=_built,
    )
    return reader.value()


def scalar_value(value: Any) -> Any:
    """A numpy scalar's number; anything else as it is. MalformedInput for a damaged scalar."""
    if not isinstance(value, StandIn) or value.of not in _SCALARS:
        return value
    try:
        kind, content = value.arguments
        return np.frombuffer(content, dtype=_plain_dtype(kind))[0].item()
    except (TypeError, ValueError, IndexError) as problem:
        raise MalformedInput(f"a number in the file is damaged ({problem})") from problem


def _built(value: StandIn, stream: io.BytesIO) -> Any:
    return _inline_array(value.state, stream) if value.of == _WRAPPER else value


def _inline_array(state: dict[str, Any], stream: io.BytesIO) -> NDArray[Any]:
    """The array whose bytes follow the wrapper: a padding length, the padding, the values."""
    if state["subclass"] != _NDARRAY:
        raise ValueError("an array of another class than numpy.ndarray")
    shape = tuple(int(size) for size in state["shape"])
    dtype = _plain_dtype(state["dtype"])
    if state.get("numpy_array_alignment_bytes") is not None:  # joblib before 1.2 aligned nothing
        stream.seek(stream.read(1)[0], io.SEEK_CUR)
    n_bytes = math.prod(shape) * dtype.itemsize
    left = len(stream.getbuffer()) - stream.tell()
    if min(shape, default=0) < 0 or n_bytes > left:
        raise ValueError(f"an array {list(shape)} needs {n_bytes} bytes, {left} are left")
    content = stream.read(n_bytes)
    values: NDArray[Any] = np.frombuffer(content, dtype=dtype)
    if state["order"] == "F":
        return values.reshape(shape[::-1]).T.copy()
    return values.reshape(shape).copy()


def _plain_dtype(value: Any) -> np.dtype[Any]:
    """A number's type from the stand-in of `numpy.dtype(code, False, True)` and its state."""
    if not isinstance(value, StandIn) or value.of != _DTYPE:
        raise ValueError("an array without a type")
    code, order = value.arguments[0], value.state[1]
    if not isinstance(code, str) or not _PLAIN_TYPE.fullmatch(code):
        raise ValueError(f"an array of the type {code!r}; only plain numbers are read")
    if order not in ("<", ">", "|", "="):
        raise ValueError(f"the byte order {order!r}")
    return np.dtype(code).newbyteorder(order)
