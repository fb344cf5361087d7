"""How a record too long to be worked on at once is cut into overlapping pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """A stretch of a record to answer for, inside a wider one to look at; half-open samples.

    start, end: what this piece answers for; one piece begins where the last one ended.
    first, last: what it may look at, a margin more on both sides where the record has it.
    """

    start: int
    end: int
    first: int
    last: int


def pieces(n_samples: int, *, size: int, margin: int) -> Iterator[Piece]:
    """Pieces of `size` samples that see `margin` samples of their neighbors.

    A rest no longer than the margin goes to the piece before it. At least one piece, if empty.
    """
    start = 0
    while True:
        end = n_samples if n_samples - start <= size + margin else start + size
        yield Piece(start, end, max(0, start - margin), min(n_samples, end + margin))
        if end >= n_samples:
            return
        start = end
