"""What a note of an annotation may say without naming anybody: codes, as WFDB defines them."""

from __future__ import annotations

import re
from dataclasses import replace

from services.ecg.record import EcgRecord

# rhythms as `(AFIB`; the comments of the MIT-BIH records; signal quality as `cn`, `U`
_CODE = re.compile(r"\([A-Z0-9]{1,6}|PSE|TS|MISSB|[A-Za-z0-9]{0,2}", re.ASCII)


def without_free_text(record: EcgRecord) -> EcgRecord:
    """The record with those notes alone, and a word on how many were left out."""
    annotations = record.annotations
    if annotations is None or not annotations.note:
        return record
    kept = tuple(note if _CODE.fullmatch(note) else "" for note in annotations.note)
    if kept == annotations.note:
        return record
    n_left_out = sum(before != after for before, after in zip(annotations.note, kept, strict=True))
    said = f"the free text of {n_left_out} annotations is left out (ECTOPY_KEEP_FREE_TEXT)"
    return replace(record, annotations=replace(annotations, note=kept), notes=(*record.notes, said))
