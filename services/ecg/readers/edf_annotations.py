"""The text in an EDF+ or BDF+ file: when each data record starts, and which beats are marked.

Only the symbols of the WFDB table are kept; other annotations are free text and may name people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from services.ecg.readers.base import shown
from services.ecg.readers.wfdb_annotations import SYMBOL_OF_CODE
from services.ecg.record import Annotations
from services.errors import MalformedInput

_SYMBOLS = frozenset(SYMBOL_OF_CODE.values()) - {'"'}  # what only carries a note says nothing here
_ONSET = re.compile(rb"[+-]\d{1,12}(?:\.\d{0,20})?")
_MAX_ANNOTATIONS = 2_000_000


@dataclass
class EdfTexts:
    """record_start_s: of each data record, where the file says so. beats: (onset in s, symbol)."""

    record_start_s: list[float]
    beats: list[tuple[float, str]]
    n_left_out: int = 0


def edf_texts(file_name: str, blocks: Iterable[bytes]) -> EdfTexts:
    """What the annotation signal says, one block of bytes a data record; MalformedInput."""
    found = EdfTexts([], [])
    for number, block in enumerate(blocks, start=1):
        _read_block(f"{shown(file_name)}, data record {number}", block, found)
    return found


def _read_block(where: str, block: bytes, found: EdfTexts) -> None:
    """A block is a row of lists, each `+onset[\\x15duration]\\x14text\\x14text\\x14\\x00`."""
    for position, entry in enumerate(e for e in block.split(b"\0") if e):
        timing, *texts = entry.split(b"\x14")
        onset = timing.split(b"\x15")[0]
        if not _ONSET.fullmatch(onset) or len(texts) < 2 or texts[-1]:
            raise MalformedInput(f"{where}: its annotations are damaged")
        if position == 0:
            if texts[0]:
                raise MalformedInput(f"{where}: its annotations do not begin with its time")
            found.record_start_s.append(float(onset))
        for text in filter(None, texts):
            _take(float(onset), text, found)
        if len(found.beats) > _MAX_ANNOTATIONS:
            raise MalformedInput(f"{where}: more than {_MAX_ANNOTATIONS:,} beats are marked")
    if block.strip(b"\0") == b"":
        raise MalformedInput(f"{where}: its annotations do not begin with its time")


def _take(onset_s: float, text: bytes, found: EdfTexts) -> None:
    symbol = text.decode("utf-8", errors="replace").strip()
    if symbol in _SYMBOLS:
        found.beats.append((onset_s, symbol))
    else:
        found.n_left_out += 1


def beat_annotations(
    texts: EdfTexts, *, sampling_rate_hz: float, n_samples: int
) -> tuple[Annotations | None, list[str]]:
    """Beats at the record's rate, in order, and notes on what was left out."""
    first_s = texts.record_start_s[0] if texts.record_start_s else 0.0
    placed = [(round((s - first_s) * sampling_rate_hz), symbol) for s, symbol in texts.beats]
    inside = sorted((beat for beat in placed if 0 <= beat[0] < n_samples), key=lambda beat: beat[0])
    notes = []
    if outside := len(placed) - len(inside):
        notes.append(f"{outside} annotations lie outside of the signal and are left out")
    if texts.n_left_out:
        notes.append(f"{texts.n_left_out} annotations that are no beat symbols are left out")
    if not inside:
        return None, notes
    samples = np.array([sample for sample, _ in inside], dtype=np.int64)
    return Annotations(sample=samples, symbol=tuple(symbol for _, symbol in inside)), notes
