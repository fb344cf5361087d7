"""Arrays in one uncompressed .npz that are mapped into memory, not read, when it is opened."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from services.errors import MalformedInput

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_SIGNATURE = b"PK\x03\x04"


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Each array under its name, stored plainly, written beside and renamed."""
    beside = path.with_name(path.name + ".partial")
    with beside.open("wb") as file:  # numpy would add an ending of its own to a name
        np.savez(file, allow_pickle=False, **arrays)
    beside.replace(path)


def mapped_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of the file, read-only maps of it; nothing in it is executed.

    Raises MalformedInput where it is no such file, is compressed, or says more than it holds.
    """
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            return {
                entry.filename.removesuffix(".npy"): _mapped(path, file, entry, size)
                for entry in archive.infolist()
            }
    except (zipfile.BadZipFile, ValueError, struct.error, OverflowError) as problem:
        raise MalformedInput(f"{path.name}: not an uncompressed .npz file: {problem}") from problem


def _mapped(path: Path, file: IO[bytes], entry: zipfile.ZipInfo, size: int) -> NDArray[Any]:
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{entry.filename} is compressed")
    file.seek(entry.header_offset)
    header = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if header[0] != _SIGNATURE:
        raise ValueError(f"{entry.filename} is not where the archive says")
    file.seek(header[9] + header[10], 1)  # its name, its extra field
    shape, fortran, dtype = _array_header(file)
    n_bytes = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or file.tell() + n_bytes > size:
        raise ValueError(f"{entry.filename} is {dtype} {shape}, which the file does not hold")
    if n_bytes == 0:
        return np.empty(shape, dtype)
    order: Any = "F" if fortran else "C"
    return np.memmap(path, dtype, mode="r", offset=file.tell(), shape=shape, order=order)


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise ValueError(f"version {version} of numpy's format")
