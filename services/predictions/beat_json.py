"""API.md's `beats` as JSON text, made by array operations.

Every beat takes the same number of bytes, numbers being padded with spaces on the left, which JSON
allows. So all of them are one table of characters: a row as a template, and its columns filled in.
As objects for a JSON library they took three times as long and ten times the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.ecg.record import IntArray
from services.models.results import BeatResult

_ONE = 1_000_000  # probabilities and times are given to six decimals

Characters = NDArray[np.uint8]
Words = NDArray[np.uint64]  # of eight characters each, the first one lowest

_THREE_DIGITS: Characters = np.frombuffer(
    "".join(f"{number:03d}" for number in range(1000)).encode(), np.uint8
).reshape(1000, 3)
_TENS = 10 ** np.arange(19, dtype=np.int64)


def _in_words(texts: Sequence[str], place: int) -> Words:
    """Short texts as parts of words that begin at a place of eight."""
    return np.array([int.from_bytes(text.encode(), "little") << 8 * place for text in texts], "<u8")


_WHOLES = _in_words(["0.", "1."], 0)
_THOUSANDTHS = _in_words([f"{number:03d}" for number in range(1000)], 2)
_MILLIONTHS = _in_words([f"{number:03d}" for number in range(1000)], 5)


def beat_json(result: BeatResult) -> bytes:
    """A JSON array with one object a beat; times and probabilities to six decimals."""
    n = len(result.sample)
    if n == 0:
        return b"[]"
    table = _fractions(result.probabilities)
    time = np.rint(result.sample * (_ONE / result.sampling_rate_hz)).astype(np.int64)
    labels = [orjson.dumps(name) for name in result.labels]
    row: list[bytes | Characters | Words] = [
        *(b'{"sample":', _whole(result.sample)),
        *(b',"time_s":', _decimal(time)),
        *(b',"label":', _chosen(labels, result.label_index)),
        *(b',"probability":', table[result.label_index, np.arange(n)]),
        b',"probabilities":{',
    ]
    for index, name in enumerate(labels):
        row += [b"," + name + b":" if index else name + b":", table[index]]
    unreadable = _chosen([b"false", b"true"], result.unreadable.astype(np.intp))
    return _rows([*row, b'},"unreadable":', unreadable, b"}"], n)


def _rows(columns: Sequence[bytes | Characters | Words], n: int) -> bytes:
    """Texts that are the same in each row, (n, width) characters and (n,) words, side by side, as
    an array.
    """
    widths = [_width(column) for column in columns]
    parts = zip(columns, widths, strict=True)
    template = b"".join(c if isinstance(c, bytes) else b" " * width for c, width in parts) + b","
    text = np.empty(1 + n * len(template), np.uint8)
    text[1:].reshape(n, len(template))[...] = np.frombuffer(template, np.uint8)
    at = 1
    for column, width in zip(columns, widths, strict=True):
        if not isinstance(column, bytes):
            steps = (len(template), 1)[: column.ndim]
            np.ndarray(column.shape, column.dtype, text, offset=at, strides=steps)[...] = column
        at += width
    text[0], text[-1] = b"[]"
    return text.tobytes()


def _width(column: bytes | Characters | Words) -> int:
    return len(column) if isinstance(column, bytes) else column.nbytes // len(column)


def _fractions(values: NDArray[np.floating[Any]]) -> Words:
    """(n, k) from 0 to 1 -> (k, n): `0.250000` for 0.25."""
    millionths = np.rint(values.T * np.float64(_ONE)).astype(np.int32).clip(0, _ONE)
    thousandths = millionths // 1000
    whole = thousandths // 1000
    words: Words = _MILLIONTHS.take(millionths - 1000 * thousandths)
    words |= _THOUSANDTHS.take(thousandths - 1000 * whole)
    words |= _WHOLES.take(whole)
    return words


def _whole(values: IntArray) -> Characters:
    """(n, digits of the largest): values from 0 on, spaces instead of leading zeros."""
    width = len(str(int(values.max())))
    groups = [_THREE_DIGITS.take(values // 1000**g % 1000, axis=0) for g in range(-(-width // 3))]
    digits = np.concatenate(groups[::-1], axis=1)[:, -width:]
    leading = values[:, None] < _TENS[width - 1 : 0 : -1]  # the last digit stays
    digits[:, :-1][leading] = ord(" ")
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
