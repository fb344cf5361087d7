"""The numbers, texts and plain structures in a MATLAB file, and nothing that could run.

Formats: "MAT-File Format" (MathWorks), level 5 and level 4. Read here and not by scipy, which takes
memory for whatever dimensions a file announces and unpacks what it compresses without a limit.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.readers.base import shown
from services.errors import MalformedInput, TooLarge, UnusableInput

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
HEADER_BYTES = 128
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 8
MAX_VARIABLES = 10_000

Value = NDArray[Any] | str | list["Value"] | dict[str, "Value"]

_COMPRESSED, _MATRIX = 15, 14
_TYPES = MappingProxyType(
    {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
)
_TEXT_TYPES = MappingProxyType({16: "utf-8", 17: "utf-16", 18: "utf-32"})
_CELL, _STRUCT, _CHAR, _FIRST_NUMERIC, _LAST_NUMERIC = 1, 2, 4, 6, 15
_COMPLEX = 0x800
_V4_TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")


def is_level_5(head: bytes) -> bool:
    """By the byte order mark and the version."""
    return len(head) >= HEADER_BYTES and head[124:128] in (b"\0\1IM", b"\1\0MI")


def is_level_4(head: bytes) -> bool:
    """By a first header that makes sense; the level has no magic."""
    if len(head) < 21:
        return False
    for order in "<>":
        kind, rows, columns, imaginary, name_bytes = struct.unpack_from(f"{order}5i", head)
        big, number, kind = kind // 1000, kind // 10 % 100, kind % 10
        if (
            (big, imaginary, kind) == (order == ">", 0, 0)
            and 0 <= number < len(_V4_TYPES)
            and rows > 0
            and columns > 0
            and 2 <= name_bytes <= 64
            and head[20:21].isalpha()
        ):
            return True
    return False


def matlab_values(file_name: str, content: bytes) -> dict[str, Value]:
    """Variables by name; MalformedInput, UnusableInput or TooLarge.

    Arrays keep their shape; complex, sparse and logical ones, objects and functions are left out.
    """
    name = shown(file_name)
    if content.startswith(HDF5_MAGIC) or content[512:520] == HDF5_MAGIC:
        raise UnusableInput(f"{name} is a MATLAB 7.3 file (HDF5); save it with -v7")
    try:
        if is_level_5(content[:HEADER_BYTES]):
            return _Level5(content).variables()
        return _level_4_variables(content)
    except _Damage as damage:
        raise MalformedInput(f"{name}: {damage}") from damage
    except (struct.error, ValueError, zlib.error, IndexError) as error:
        raise MalformedInput(f"{name} is a damaged MATLAB file") from error


class _Damage(Exception):
    """What is wrong, without the name of the file."""


@dataclass(frozen=True)
class _Element:
    kind: int
    data: memoryview


class _Level5:
    """A file of level 5 in one byte order."""

    def __init__(self, content: bytes) -> None:
        self._order = "<" if content[126:128] == b"IM" else ">"
        self._content = memoryview(content)
        self._room = MAX_UNPACKED_BYTES

    def variables(self) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for element in self._elements(self._content[HEADER_BYTES:], depth=0):
            if element.kind != _MATRIX:
                continue
            name, value = self._matrix(element.data, depth=0)
            if value is not None:
                found[name] = value
            if len(found) > MAX_VARIABLES:
                raise TooLarge(f"more than {MAX_VARIABLES:,} variables in a MATLAB file")
        return found

    def _elements(self, data: memoryview, *, depth: int) -> Iterator[_Element]:
        at = 0
        while at + 8 <= len(data):
            word, n_bytes = struct.unpack_from(f"{self._order}2I", data, at)
            if word >> 16:  # a small element: its data is where the length would be
                kind, n_bytes, start, step = word & 0xFFFF, word >> 16, at + 4, 8
                if n_bytes > 4:
                    raise _Damage(f"a small element of {n_bytes} bytes")
            else:
                kind, start = word, at + 8
                step = 8 + (n_bytes if kind == _COMPRESSED else -(-n_bytes // 8) * 8)
            if start + n_bytes > len(data):
                raise _Damage(f"{n_bytes:,} bytes announced, {len(data) - start:,} follow")
            if kind == _COMPRESSED and depth == 0:
                yield from self._elements(self._unpacked(data[start : start + n_bytes]), depth=1)
            else:
                yield _Element(kind, data[start : start + n_bytes])
            at += step
        if at < len(data) and bytes(data[at:]).strip(b"\0"):
            raise _Damage("the file stops inside an element")

    def _unpacked(self, packed: memoryview) -> memoryview:
        stream = zlib.decompressobj()
        data = stream.decompress(packed, self._room + 1)
        if len(data) > self._room:
            raise TooLarge(f"a MATLAB file that unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")
        if not stream.eof:
            raise _Damage("a compressed element was cut off")
        self._room -= len(data)
        return memoryview(data)

    def _matrix(self, data: memoryview, *, depth: int) -> tuple[str, Value | None]:
        """Name and value; None for what is not read."""
        if depth > MAX_DEPTH:
            raise _Damage(f"structures inside of more than {MAX_DEPTH} others")
        if not data:
            return "", None
        parts = list(self._elements(data, depth=depth + 1))
        if len(parts) < 3 or len(parts[0].data) < 8:
            raise _Damage("an array without its description")
        (flags,) = struct.unpack_from(f"{self._order}I", parts[0].data)
        shape = tuple(int(n) for n in self._numbers(parts[1]))
        if len(shape) < 2 or min(shape) < 0:
            raise _Damage(f"an array of the shape {shape}")
        name = bytes(parts[2].data).decode("latin-1").rstrip("\0")
        return name, self._value(flags, shape, parts[3:], depth=depth)

    def _value(
        self, flags: int, shape: tuple[int, ...], parts: list[_Element], *, depth: int
    ) -> Value | None:
        kind = flags & 0xFF
        if kind == _CHAR and parts:
            return self._text(parts[0])
        if kind == _CELL:
            cells = [self._matrix(part.data, depth=depth + 1)[1] for part in parts]
            return [cell for cell in cells if cell is not None]
        if kind == _STRUCT and math.prod(shape) == 1:
            return self._structure(parts, depth=depth)
        if not _FIRST_NUMERIC <= kind <= _LAST_NUMERIC or flags & _COMPLEX or not parts:
            return None
        numbers = self._numbers(parts[0])
        if numbers.size != math.prod(shape):
            raise _Damage(f"{numbers.size:,} numbers for an array of the shape {shape}")
        return numbers.reshape(shape, order="F")

    def _structure(self, parts: list[_Element], *, depth: int) -> dict[str, Value]:
        if len(parts) < 2:
            raise _Damage("a structure without field names")
        width = int(self._numbers(parts[0])[0])
        raw = bytes(parts[1].data)
        if not 1 <= width <= 1024 or len(raw) % width or len(parts) - 2 != len(raw) // width:
            raise _Damage("a structure whose fields and names do not fit")
        names = [raw[i : i + width].split(b"\0")[0] for i in range(0, len(raw), width)]
        found: dict[str, Value] = {}
        for name, part in zip(names, parts[2:], strict=True):
            value = self._matrix(part.data, depth=depth + 1)[1]
            if value is not None:
                found[name.decode("latin-1")] = value
        return found

    def _numbers(self, element: _Element) -> NDArray[Any]:
        if element.kind not in _TYPES:
            raise _Damage(f"numbers of the unknown type {element.kind}")
        dtype = np.dtype(_TYPES[element.kind]).newbyteorder(self._order)  # type: ignore[arg-type]
        return np.frombuffer(element.data, dtype=dtype)

    def _text(self, element: _Element) -> str:
        if element.kind in _TEXT_TYPES:
            order = {"<": "-le", ">": "-be"}[self._order] if element.kind > 16 else ""
            codec = _TEXT_TYPES[element.kind] + order
            return bytes(element.data).decode(codec, errors="replace")
        return "".join(map(chr, self._numbers(element).astype(np.uint16).tolist()))


def _level_4_variables(content: bytes) -> dict[str, Value]:
    """Full matrices of numbers; texts and sparse ones are left out."""
    order = "<" if 0 <= struct.unpack_from("<i", content)[0] < 1000 else ">"
    found: dict[str, Value] = {}
    at = 0
    while at < len(content):
        kind, rows, columns, imaginary, name_bytes = struct.unpack_from(f"{order}5i", content, at)
        number, is_full = kind // 10 % 100, kind % 10 == 0
        if (
            number >= len(_V4_TYPES)
            or min(rows, columns, name_bytes) < 0
            or imaginary not in (0, 1)
        ):
            raise _Damage(f"no matrix begins at byte {at}")
        dtype = np.dtype(_V4_TYPES[number]).newbyteorder(order)  # type: ignore[arg-type]
        start = at + 20 + name_bytes
        n_bytes = rows * columns * dtype.itemsize
        if start + n_bytes * (1 + imaginary) > len(content):
            raise _Damage(
                f"a matrix of {rows:,} by {columns:,} takes {n_bytes:,} bytes, "
                f"{len(content) - start:,} follow"
            )
        name = content[at + 20 : start].split(b"\0")[0].decode("latin-1")
        if is_full and not imaginary:
            flat = np.frombuffer(content, dtype, count=rows * columns, offset=start)
            found[name] = flat.reshape((rows, columns), order="F")
        at = start + n_bytes * (1 + imaginary)
    return found
