"""Annotation symbols, AAMI beat classes, and the inter-patient split of the MIT-BIH database.

Sources: ANSI/AAMI EC57:2012 (classes; `e` and `j` in N); PhysioNet annotation codes;
de Chazal, O'Dwyer and Reilly, IEEE Trans Biomed Eng 51(7):1196 (2004), for DS1 and DS2.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

AAMI_CLASSES = ("N", "S", "V", "F", "Q")
BINARY_CLASSES = ("normal", "abnormal")

AAMI_OF_SYMBOL = MappingProxyType(
    dict.fromkeys("NLRejB", "N")
    | dict.fromkeys("AaJSn", "S")
    | dict.fromkeys("VEr", "V")
    | {"F": "F"}
    | dict.fromkeys("/fQ?", "Q")
)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DS1 = _names(
    "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230"
)
DS2 = _names(
    "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234"
)
PACED = _names("102 104 107 217")

SAME_PATIENT = (frozenset({"201", "202"}),)


def is_beat(symbol: str) -> bool:
    """Whether the annotation symbol marks a beat (a rhythm change or a noise mark does not)."""
    return symbol in AAMI_OF_SYMBOL


def aami_class_indices(symbols: Iterable[str]) -> NDArray[np.int64]:
    """Index into AAMI_CLASSES for each symbol, -1 for what is not a beat. Shape (n,)."""
    index = {name: i for i, name in enumerate(AAMI_CLASSES)}
    return np.array([index.get(AAMI_OF_SYMBOL.get(s, ""), -1) for s in symbols], dtype=np.int64)


def mitdb_patient(record_name: str) -> str:
    """The patient behind a MIT-BIH record: its name, but 201 and 202 are one man."""
    for group in SAME_PATIENT:
        if record_name in group:
            return min(group)
    return record_name
