"""WFDB records (PhysioNet): a header, the signal files it names, and annotations if there are any.

The names in a header are only ever compared with the names of the files that were sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.ecg.readers.base import (
    MAX_TEXT_BYTES,
    Limits,
    ReadHints,
    SourceFile,
    listed,
    shown,
)
from services.ecg.readers.wfdb_annotations import AnnotationFile, parsed_annotations
from services.ecg.readers.wfdb_checks import check_layout
from services.ecg.readers.wfdb_header import FORMATS, Header, parsed_header
from services.ecg.readers.wfdb_layout import Layout, record_layout
from services.ecg.readers.wfdb_signal import physical_signal
from services.ecg.record import Annotations, EcgRecord
from services.errors import MalformedInput, UnusableInput

MAX_ANNOTATION_BYTES = 8 * 1024 * 1024  # a day of beats takes 200 kB

# of several annotation files the first of these is the reference
ANNOTATORS = ("atr", "man", "ann", "qrs")

_LONGEST_RECORD_LINE = 300
_RECORD_LINE = re.compile(r"[-\w]+(?:/\d+)?[ \t]+\d+[ \t]+[\d.]+\S*(?:[ \t]+\d+.*)?")
_SIGNAL_LINE = re.compile(r"\S+[ \t]+(\d{1,3})(?:[x:+]\d+)*(?:[ \t].*)?")


class WfdbReader:
    """Single- and multi-segment records in every storage format."""

    accepted = (
        "WFDB (the .hea header with the signal files it names, and an annotation file such as "
        ".atr if there is one), as single files or as one .zip archive"
    )

    def recognizes(self, files: Sequence[SourceFile]) -> bool:
        """Whether one of them is a header."""
        return bool(_header_files(files))

    def claims(self, files: Sequence[SourceFile]) -> bool:
        """Whether one is called as WFDB files are."""
        return any(file.extension in ("hea", "dat", "atr") for file in files)

    def read(
        self, files: Sequence[SourceFile], *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """The one record among the files."""
        headers = _headers(files, limits)
        stem, root = _root(headers)
        sources = {file.plain_name: file for file in files}
        layout = record_layout(root, headers, sources)
        check_layout(layout, root, limits)
        used = {file.source.plain_name for part in layout.parts for file in part.files}
        used |= {header.file_name for header in headers.values()}
        others = [file for file in files if file.plain_name not in used]
        # before the signal: a damaged annotation file is found without decoding hours of it
        annotations, notes = _annotations(stem, others, layout)
        signal, signal_notes = physical_signal(layout, workspace)
        return EcgRecord(
            signal=signal,
            lead_names=layout.lead_names,
            sampling_rate_hz=layout.sampling_rate_hz,
            units=layout.units,
            name=hints.name or root.record_name,
            format="wfdb",
            annotations=annotations,
            start_time=root.start_time,
            notes=(*signal_notes, *notes),
        )


def _header_files(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Those called .hea; where there is none, those that read like a header."""
    named = [file for file in files if file.extension == "hea"]
    return named or [file for file in files if _reads_like_header(file.head(4096))]


def _reads_like_header(head: bytes) -> bool:
    lines = [line.strip() for line in head.decode("latin-1").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if (
        len(lines) < 2
        or len(lines[0]) > _LONGEST_RECORD_LINE
        or not _RECORD_LINE.fullmatch(lines[0])
    ):
        return False
    signal = _SIGNAL_LINE.fullmatch(lines[1])
    return signal is not None and int(signal[1]) in FORMATS


def _headers(files: Sequence[SourceFile], limits: Limits) -> dict[str, Header]:
    """Every header that was sent, by the name of its file without the extension."""
    found = _header_files(files)
    if not found:
        raise MalformedInput(
            f"{listed([file.plain_name for file in files])} came without a header: "
            "a WFDB record needs its .hea file"
        )
    return {
        file.stem: parsed_header(
            file.plain_name,
            file.content(at_most_bytes=MAX_TEXT_BYTES),
            max_leads=limits.max_leads,
        )
        for file in found
    }


def _root(headers: Mapping[str, Header]) -> tuple[str, Header]:
    """The header of the whole record: the one that is nobody's segment."""
    segments = {line.name for header in headers.values() for line in header.segments}
    roots = [name for name in headers if name not in segments]
    if len(roots) > 1:
        raise UnusableInput(
            f"there are {len(roots)} records here ({listed(sorted(roots))}); send one at a time"
        )
    if not roots:
        raise MalformedInput(
            f"every header ({listed([h.file_name for h in headers.values()])}) "
            "is a segment of another"
        )
    return roots[0], headers[roots[0]]


@dataclass(frozen=True)
class _Candidate:
    source: SourceFile
    parsed: AnnotationFile


def _annotations(
    stem: str, others: Sequence[SourceFile], layout: Layout
) -> tuple[Annotations | None, list[str]]:
    """The reference annotations, and notes on what was left out."""
    candidates, ignored = [], []
    for file in others:
        parsed = _parsed_candidate(stem, file)
        if parsed is None:
            ignored.append(file.plain_name)
        else:
            candidates.append(_Candidate(file, parsed))
    candidates.sort(key=lambda c: (_preference(c.source.extension), c.source.plain_name))
    ignored += [c.source.plain_name for c in candidates[1:]]
    notes = [f"not read as a part of the record: {listed(sorted(ignored))}"] if ignored else []
    if not candidates:
        return None, notes
    chosen = candidates[0]
    annotations, left_out = _within(chosen.parsed, layout)
    if left_out:
        notes.append(
            f"{shown(chosen.source.plain_name)}: {left_out} annotations lie outside of the signal "
            "and are left out"
        )
    return annotations, notes


def _preference(extension: str) -> int:
    return ANNOTATORS.index(extension) if extension in ANNOTATORS else len(ANNOTATORS)


def _parsed_candidate(stem: str, file: SourceFile) -> AnnotationFile | None:
    """None for a file that is not this record's, or is no annotation file and not called one."""
    if file.stem != stem:
        return None
    try:
        return parsed_annotations(file.plain_name, file.content(at_most_bytes=MAX_ANNOTATION_BYTES))
    except MalformedInput:
        if file.extension in ANNOTATORS:
            raise
        return None


def _within(found: AnnotationFile, layout: Layout) -> tuple[Annotations, int]:
    """Those inside of the signal, in order of time; how many were not."""
    sample = found.samples_at(layout.sampling_rate_hz, frame_rate_hz=layout.frame_rate_hz)
    inside = np.flatnonzero((sample >= 0) & (sample < layout.n_samples))
    order = inside[np.argsort(sample[inside], kind="stable")]
    annotations = Annotations(
        sample=sample[order],
        symbol=tuple(found.symbol[i] for i in order),
        note=tuple(found.note[i] for i in order),
    )
    return annotations, len(sample) - len(inside)
