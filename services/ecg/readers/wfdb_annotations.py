"""The annotations in a WFDB annotation file (`.atr` and its like, MIT format), from its bytes.

Format: https://physionet.org/physiotools/wag/annot-5.htm. The library's own `rdann` is not used:
it loops without end on some damaged files, and half of its time goes to tables we have no use for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from services.ecg.readers.base import shown
from services.ecg.record import IntArray
from services.errors import MalformedInput

SYMBOL_OF_CODE = MappingProxyType(
    dict(enumerate("NLRaVFJASEj/Q~", start=1))
    | {16: "|"}
    | dict(enumerate('sT*D"=pB^t+u?![]en@xf()r', start=18))
)

NOTE = 22
_SKIP, _NUM, _SUB, _CHAN, _AUX = 59, 60, 61, 62, 63
_TIME_RESOLUTION = re.compile(r"## time resolution:\s*(\d{1,9}(?:\.\d{1,9})?)\s*")
_OWN_SYMBOL = re.compile(r"(\d{1,2}) (\S+) .*", re.DOTALL)
_MAX_SAMPLE = 1 << 48


@dataclass
class AnnotationFile:
    """What the file says: sample counts of its own clock, in file order.

    rate_hz: of that clock, None when the file does not say (then it counts the record's frames).
    """

    sample: list[int] = field(default_factory=list)
    symbol: list[str] = field(default_factory=list)
    note: list[str] = field(default_factory=list)
    rate_hz: float | None = None
    own_symbols: dict[int, str] = field(default_factory=dict)

    def symbol_of(self, code: int) -> str:
        """The file's own symbol for a code, or the standard one, or the code in brackets."""
        return self.own_symbols.get(code) or SYMBOL_OF_CODE.get(code, f"[{code}]")

    def samples_at(self, rate_hz: float, *, frame_rate_hz: float) -> IntArray:
        """(n,) sample numbers counted at `rate_hz`, nearest."""
        own_rate_hz = self.rate_hz or frame_rate_hz
        samples: IntArray = np.array(self.sample, dtype=np.int64)
        if own_rate_hz == rate_hz:
            return samples
        scaled: IntArray = np.rint(samples * (rate_hz / own_rate_hz)).astype(np.int64)
        return scaled


def parsed_annotations(file_name: str, content: bytes) -> AnnotationFile:
    """MalformedInput, with the byte it happened at, when the file is damaged or none."""
    words = np.frombuffer(content[: len(content) // 2 * 2], dtype="<u2").tolist()
    found = AnnotationFile()
    defining = False
    at, sample = 0, 0
    while at < len(words):
        code, step = words[at] >> 10, words[at] & 0x3FF
        if code == 0 and step == 0:
            return found
        if code == _SKIP:
            sample += _skipped(file_name, words, at)
            at += 3
            continue
        if code > _SKIP:
            raise _damage(file_name, at, f"a modifier ({code}) of no annotation")
        sample += step
        note, at = _modifiers(file_name, content, words, at + 1)
        if abs(sample) > _MAX_SAMPLE:
            raise _damage(file_name, at, "a time that no record has")
        if code == NOTE and sample == 0 and (defining or note.startswith("## ")):
            defining = _define(note, found, defining)
        elif code != 0:
            found.sample.append(sample)
            found.symbol.append(found.symbol_of(code))
            found.note.append(note)
    raise _damage(file_name, at, "the file stops without its end mark")


def _damage(file_name: str, at_word: int, problem: str) -> MalformedInput:
    return MalformedInput(f"{shown(file_name)}: damaged at byte {2 * at_word}: {problem}")


def _skipped(file_name: str, words: list[int], at: int) -> int:
    """A long step of time: two words, the high one first, in two's complement."""
    if at + 2 >= len(words):
        raise _damage(file_name, at, "the file stops inside an annotation")
    step = words[at + 1] << 16 | words[at + 2]
    return step - (1 << 32) if step >= 1 << 31 else step


def _modifiers(file_name: str, content: bytes, words: list[int], at: int) -> tuple[str, int]:
    """The note of the annotation before `at`, if it has one, and where the next one starts."""
    note = ""
    while at < len(words) and words[at] >> 10 > _SKIP:
        code, n_bytes = words[at] >> 10, words[at] & 0xFF
        at += 1
        if code == _AUX:
            if 2 * at + n_bytes > len(content):
                raise _damage(file_name, at, "the file stops inside a note")
            raw = content[2 * at : 2 * at + n_bytes]
            note = raw.decode("utf-8", errors="replace").replace("\0", "")
            at += (n_bytes + 1) // 2
    return note, at


def _define(note: str, found: AnnotationFile, defining: bool) -> bool:
    """Takes in a note on the whole file; whether definitions of symbols follow it."""
    if note.startswith("## "):
        if resolution := _TIME_RESOLUTION.fullmatch(note):
            found.rate_hz = float(resolution[1]) or None
        return note.startswith("## annotation type definitions")
    if label := _OWN_SYMBOL.fullmatch(note):
        found.own_symbols[int(label[1])] = label[2]
    return defining
