"""API.md's `beats` as JSON text, made by array operations.

Every beat takes the same number of bytes, numbers being padded with spaces on the left, which JSON
allows. So all of them are one table of characters: a row as a template, and its columns filled in.
As objects for a JSON library they took three times as long and ten times the memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from services.ecg.record import IntArray
from services.models.results import BeatResult

_ONE = 1_000_000  # probabilities and times are given to six decimals

Characters = NDArray[np.uint8]

_THREE_DIGITS: Characters = np.frombuffer(
    "".join(f"{number:03d}" for number in range(1000)).encode(), np.uint8
).reshape(1000, 3)


def beat_json(result: BeatResult) -> bytes:
    """A JSON array with one object a beat; times and probabilities to six decimals."""
    n = len(result.sample)
    if n == 0:
        return b"[]"
    table = np.rint(result.probabilities.T.astype(np.float64) * _ONE).astype(np.int64)
    time = np.rint(result.sample * (_ONE / result.sampling_rate_hz)).astype(np.int64)
    labels = [orjson.dumps(name) for name in result.labels]
    row: list[bytes | Characters] = [
        *(b'{"sample":', _whole(result.sample)),
        *(b',"time_s":', _decimal(time)),
        *(b',"label":', _chosen(labels, result.label_index)),
        *(b',"probability":', _decimal(table[result.label_index, np.arange(n)])),
        b',"probabilities":{',
    ]
    for index, name in enumerate(labels):
        row += [b"," + name + b":" if index else name + b":", _decimal(table[index])]
    unreadable = _chosen([b"false", b"true"], result.unreadable.astype(np.intp))
    return _rows([*row, b'},"unreadable":', unreadable, b"}"], n)


def _rows(columns: Sequence[bytes | Characters], n: int) -> bytes:
    """Texts that are the same in each row and (n, width) characters, side by side, as an array."""
    template = b"".join(c if isinstance(c, bytes) else b" " * c.shape[1] for c in columns) + b","
    text = bytearray(b"[" + template * n)
    table = np.frombuffer(text, np.uint8, offset=1).reshape(n, len(template))
    at = 0
    for column in columns:
        width = len(column) if isinstance(column, bytes) else column.shape[1]
        if not isinstance(column, bytes):
            table[:, at : at + width] = column
        at += width
    text[-1:] = b"]"
    return bytes(text)


def _whole(values: IntArray) -> Characters:
    """(n, digits of the largest): values from 0 on, spaces instead of leading zeros."""
    width = len(str(int(values.max())))
    groups = [_THREE_DIGITS.take(values // 1000**g % 1000, axis=0) for g in range(-(-width // 3))]
    digits = np.concatenate(groups[::-1], axis=1)[:, -width:]
    for place in range(width - 1):  # from the left; the last digit stays
        digits[values < 10 ** (width - 1 - place), place] = ord(" ")
    return digits


def _decimal(millionths: IntArray) -> Characters:
    """(n, width): `1.250000` for 1250000."""
    whole = millionths // _ONE
    fraction = millionths - whole * _ONE
    thousandths = fraction // 1000
    point = np.full((len(whole), 1), ord("."), np.uint8)
    last = fraction - thousandths * 1000
    digits = (_THREE_DIGITS.take(thousandths, axis=0), _THREE_DIGITS.take(last, axis=0))
    return np.concatenate([_whole(whole), point, *digits], axis=1)


def _chosen(texts: Sequence[bytes], index: IntArray) -> Characters:
    """(n, longest text): the text of each index, spaces behind it."""
    longest = max(map(len, texts))
    table = np.frombuffer(b"".join(text.ljust(longest) for text in texts), np.uint8)
    return table.reshape(len(texts), longest).take(index, axis=0)
