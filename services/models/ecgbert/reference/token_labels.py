"""The original's class of a token: what the last annotation before its start says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from services.ecg.record import Annotations, IntArray

# the published table; whatever is not in it is N (quirk 10), as is all before the first annotation
AAMI_INDEX = MappingProxyType(
    dict.fromkeys("NLRej+~", 0)
    | dict.fromkeys("AaJS", 1)
    | dict.fromkeys("VE", 2)
    | {"F": 3}
    | dict.fromkeys("/fQ", 4)
)
NORMAL_SYMBOLS = frozenset("NLRej+~")


def aami_labels(annotations: Annotations, at: IntArray) -> IntArray:
    """Index into N S V F Q at each of the samples `at`, (n,).

    Quirk 9: an annotation's class fills the samples up to the next one, so a beat's P and the start
    of its QRS carry the class of the beat before. Quirk 10: marks that are no beats are N.
    """
    return _filled(annotations, at, {s: AAMI_INDEX.get(s, 0) for s in annotations.symbol})


def binary_labels(annotations: Annotations, at: IntArray) -> IntArray:
    """0 normal, 1 abnormal at each of the samples `at`, (n,).

    Quirk 10: here the same marks that the five classes call N are *abnormal*, except `+` and `~`.
    """
    return _filled(annotations, at, {s: int(s not in NORMAL_SYMBOLS) for s in annotations.symbol})


def _filled(annotations: Annotations, at: IntArray, class_of: Mapping[str, int]) -> IntArray:
    classes = np.array([0, *(class_of[symbol] for symbol in annotations.symbol)], dtype=np.int64)
    return classes[np.searchsorted(annotations.sample, at, side="right")]
