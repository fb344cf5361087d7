"""Labelled beats as files that other programs read: CSV, and a WFDB annotation file in a zip.

Format of the latter: https://physionet.org/physiotools/wag/annot-5.htm
"""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from services.ecg.readers.wfdb_annotations import NOTE, SYMBOL_OF_CODE
from services.ecg.record import FloatArray, IntArray

ANNOTATOR = "ectopy"  # the extension of the annotation file

# A beat that a binary model calls abnormal is a beat of unknown kind: Q, with the label as a note.
SYMBOL_OF_LABEL = MappingProxyType(
    {"N": "N", "S": "S", "V": "V", "F": "F", "Q": "Q", "normal": "N", "abnormal": "Q"}
)

_CODE_OF_SYMBOL = {symbol: code for code, symbol in SYMBOL_OF_CODE.items()}
_SKIP, _AUX = 59, 63
_LONGEST_STEP = 1023


def beats_csv(
    sample: IntArray,
    *,
    labels: Sequence[str],
    probabilities: FloatArray,
    sampling_rate_hz: float,
) -> str:
    """`sample,time_s,label,probability`, a line a beat, under a header line.

    sample: (n,) indices of R peaks; labels: n; probabilities: (n,), of the label given.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("sample", "time_s", "label", "probability"))
    rows = zip(sample.tolist(), labels, probabilities.tolist(), strict=True)
    writer.writerows(
        (index, f"{index / sampling_rate_hz:.4f}", label, f"{probability:.4f}")
        for index, label, probability in rows
    )
    return text.getvalue()


def beats_annotation_zip(
    sample: IntArray,
    *,
    labels: Sequence[str],
    sampling_rate_hz: float,
    record_name: str,
    n_samples: int = 0,
    header: bytes | None = None,
) -> bytes:
    """A zip with `NAME.ectopy`, for `rdann -r NAME -a ectopy`, and `NAME.hea`.

    sample: (n,) ascending indices of R peaks in the record's rate; labels: n keys of
    SYMBOL_OF_LABEL. header: the record's own `.hea`; without one a header is written that knows
    the rate and the length (`n_samples`) but no signals.
    """
    name = re.sub(r"[^-0-9A-Za-z_]", "_", record_name) or "record"
    if header is None:
        header = f"{name} 0 {_rate_text(sampling_rate_hz)} {n_samples}\n".encode("ascii")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.hea"), header)
        archive.writestr(
            zipfile.ZipInfo(f"{name}.{ANNOTATOR}"),
            annotation_bytes(sample, labels=labels, sampling_rate_hz=sampling_rate_hz),
        )
    return packed.getvalue()


def annotation_bytes(sample: IntArray, *, labels: Sequence[str], sampling_rate_hz: float) -> bytes:
    """The annotation file itself; it says its own sampling rate, as `wrann` does."""
    return symbol_bytes(
        sample,
        symbols=[SYMBOL_OF_LABEL[label] for label in labels],
        notes=[label if label == "abnormal" else "" for label in labels],
        sampling_rate_hz=sampling_rate_hz,
    )


def symbol_bytes(
    sample: IntArray,
    *,
    symbols: Sequence[str],
    notes: Sequence[str],
    sampling_rate_hz: float,
) -> bytes:
    """An annotation file of any symbols of the WFDB table, each with a note or an empty one.

    What is not in the table becomes `?`; a note is cut to the 255 bytes that there is room for.
    """
    parts = [_word(NOTE, 0), _note(f"## time resolution: {_rate_text(sampling_rate_hz)}")]
    # one back and one forth: how the WFDB library ends its notes on the whole file
    parts += [_skip(-1), _word(0, 1)]
    steps = np.diff(sample, prepend=0).tolist()
    for step, symbol, note in zip(steps, symbols, notes, strict=True):
        if not 0 <= step <= _LONGEST_STEP:
            parts.append(_skip(step))
            step = 0
        parts.append(_word(_CODE_OF_SYMBOL.get(symbol, _CODE_OF_SYMBOL["?"]), step))
        if note:
            parts.append(_note(note))
    return b"".join([*parts, _word(0, 0)])


def _word(code: int, step: int) -> bytes:
    return struct.pack("<H", code << 10 | step)


def _skip(step: int) -> bytes:
    """A step too long for its ten bits: two words, the high one first."""
    return _word(_SKIP, 0) + struct.pack("<HH", step >> 16 & 0xFFFF, step & 0xFFFF)


def _note(text: str) -> bytes:
    raw = text.encode("utf-8")[:255]
    return _word(_AUX, len(raw)) + raw + b"\0" * (len(raw) % 2)


def _rate_text(sampling_rate_hz: float) -> str:
    return f"{sampling_rate_hz:.10g}"
