"""What a WFDB record consists of: which leads, which stretch of which file.

Every file that a header names must be one of those that were sent. See wfdb_checks.py for sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from services.ecg.leads import distinct_names
from services.ecg.readers.base import (
    SourceFile,
    listed,
    refuse,
    shown,
)
from services.ecg.readers.units import channel_unit
from services.ecg.readers.wfdb_header import NO_FILE, Header, SegmentLine, SignalLine
from services.ecg.readers.wfdb_samples import SignalFile
from services.ecg.record import MILLIVOLT
from services.errors import MalformedInput, UnusableInput


@dataclass(frozen=True)
class Part:
    """A stretch of the record from one header.

    lead_of: for each signal of the header, the lead that it goes to, or None.
    """

    start_frame: int
    n_frames: int
    header: Header
    files: tuple[SignalFile, ...]
    lead_of: tuple[int | None, ...]


@dataclass(frozen=True)
class Layout:
    """A whole record: `parts` do not overlap; what they leave out is missing.

    samples_per_frame: of the result, the most that any ECG lead has.
    """

    lead_names: tuple[str, ...]
    units: tuple[str, ...]
    parts: tuple[Part, ...]
    n_frames: int
    frame_rate_hz: float
    samples_per_frame: int

    @property
    def sampling_rate_hz(self) -> float:
        """Of the result."""
        return self.frame_rate_hz * self.samples_per_frame

    @property
    def n_samples(self) -> int:
        """Of each lead of the result."""
        return self.n_frames * self.samples_per_frame

    def placed(self) -> Iterator[tuple[Part, SignalLine, int]]:
        """Every signal that has a lead, with its part and that lead."""
        for part in self.parts:
            for signal, lead in zip(part.header.signals, part.lead_of, strict=True):
                if lead is not None:
                    yield part, signal, lead


def record_layout(
    root: Header,
    headers: Mapping[str, Header],
    sources: Mapping[str, SourceFile],
) -> Layout:
    """The layout that `root` describes.

    headers: by record name; sources: the files that were sent, by plain name.
    Errors: MalformedInput, UnusableInput.
    """
    reference = _reference(root, headers)
    if not reference.signals:
        raise UnusableInput(f"{shown(reference.file_name)} announces no signal")
    parts = _parts(root, reference, headers, sources)
    units = tuple(channel_unit(signal.name, signal.unit)[0] for signal in reference.signals)
    return Layout(
        lead_names=distinct_names([signal.name for signal in reference.signals]),
        units=units,
        parts=parts,
        n_frames=_total_frames(root, parts),
        frame_rate_hz=root.frame_rate_hz,
        samples_per_frame=_samples_per_frame(parts, units),
    )


def _reference(root: Header, headers: Mapping[str, Header]) -> Header:
    """The header that says which leads there are."""
    if not root.is_multi_segment:
        return root
    for segment in root.segments:
        if segment.name != NO_FILE:
            reference = _segment_header(root, segment, headers)
            if len(reference.signals) != root.n_signals:
                refuse(
                    root.file_name,
                    segment.line,
                    f"{root.n_signals} signals announced, {shown(reference.file_name)} has "
                    f"{len(reference.signals)}",
                )
            return reference
    raise UnusableInput(f"{shown(root.file_name)} has no segment but gaps")


def _segment_header(root: Header, segment: SegmentLine, headers: Mapping[str, Header]) -> Header:
    plain_name(root.file_name, segment.line, segment.name)
    header = headers.get(segment.name)
    if header is None:
        refuse(
            root.file_name,
            segment.line,
            f"the header of segment {shown(segment.name)} ({shown(segment.name)}.hea) was not sent",
        )
    if header.is_multi_segment:
        refuse(root.file_name, segment.line, f"segment {shown(segment.name)} has segments itself")
    if header.frame_rate_hz != root.frame_rate_hz:
        refuse(
            root.file_name,
            segment.line,
            f"segment {shown(segment.name)} has {header.frame_rate_hz:g} frames a second, "
            f"the record {root.frame_rate_hz:g}",
        )
    if (header.n_frames or segment.n_frames) != segment.n_frames:
        refuse(
            root.file_name,
            segment.line,
            f"segment {shown(segment.name)} has {segment.n_frames} samples here, "
            f"{header.n_frames} in {shown(header.file_name)}",
        )
    return header


def plain_name(file_name: str, line: int, named: str) -> str:
    """The name, if it is one of a file and nothing more: no folder, no address."""
    if any(c in named for c in "/\\:") or named in (".", ".."):
        refuse(
            file_name,
            line,
            f"'{shown(named)}' is a path or an address; only files sent with the header are read",
        )
    return named


def _parts(
    root: Header,
    reference: Header,
    headers: Mapping[str, Header],
    sources: Mapping[str, SourceFile],
) -> tuple[Part, ...]:
    if not root.is_multi_segment:
        every = tuple(range(len(root.signals)))
        files = _signal_files(root, sources)
        n_frames = root.n_frames or min((file.n_frames() for file in files), default=0)
        return (Part(0, n_frames, root, files, every),)
    _check_repeats(root)
    starts = [0, *accumulate(segment.n_frames for segment in root.segments)]
    parts = []
    for start, segment in zip(starts, root.segments, strict=False):
        if segment.name == NO_FILE or segment.n_frames == 0:
            continue
        header = _segment_header(root, segment, headers)
        files = _signal_files(header, sources)
        lead_of = _leads_of_segment(root, segment, reference, header)
        parts.append(Part(start, segment.n_frames, header, files, lead_of))
    return tuple(parts)


def _check_repeats(root: Header) -> None:
    """A short header could otherwise ask for the same small file to be read without end."""
    seen: set[str] = set()
    for segment in root.segments:
        if segment.name in seen:
            refuse(root.file_name, segment.line, f"segment {shown(segment.name)} is there twice")
        seen |= {segment.name} - {NO_FILE}


def _leads_of_segment(
    root: Header, segment: SegmentLine, reference: Header, header: Header
) -> tuple[int | None, ...]:
    """By position in a fixed layout, by name in a variable one."""
    if not root.has_layout:
        if len(header.signals) != len(reference.signals):
            refuse(
                root.file_name,
                segment.line,
                f"segment {shown(segment.name)} has {len(header.signals)} signals, "
                f"the first one {len(reference.signals)}",
            )
        return tuple(range(len(header.signals)))
    free: dict[str, list[int]] = {}
    for index, signal in enumerate(reference.signals):
        free.setdefault(signal.name, []).append(index)
    return tuple(
        free[signal.name].pop(0) if free.get(signal.name) else None for signal in header.signals
    )


def _signal_files(header: Header, sources: Mapping[str, SourceFile]) -> tuple[SignalFile, ...]:
    """The files of one header, each with its signals in order."""
    grouped: dict[str, list[SignalLine]] = {}
    for signal in header.signals:
        if signal.has_data:
            grouped.setdefault(signal.file_name, []).append(signal)
    return tuple(_signal_file(header, signals, sources) for signals in grouped.values())


def _signal_file(
    header: Header, signals: Sequence[SignalLine], sources: Mapping[str, SourceFile]
) -> SignalFile:
    first = signals[0]
    name = plain_name(header.file_name, first.line, first.file_name)
    if name not in sources:
        refuse(
            header.file_name,
            first.line,
            f"the signal file {shown(name)} was not sent; what came is {listed(sorted(sources))}",
        )
    for signal in signals:
        if (signal.storage, signal.byte_offset) != (first.storage, first.byte_offset):
            refuse(
                header.file_name,
                signal.line,
                f"all signals of {shown(name)} need the storage format and offset of line "
                f"{first.line}",
            )
    return SignalFile(sources[name], tuple(signals))


def _total_frames(root: Header, parts: Sequence[Part]) -> int:
    if not root.is_multi_segment:
        return parts[0].n_frames
    total = sum(segment.n_frames for segment in root.segments)
    if (root.n_frames or total) != total:
        raise MalformedInput(
            f"{shown(root.file_name)} announces {root.n_frames} samples, "
            f"its segments have {total} together"
        )
    return total


def _samples_per_frame(parts: Sequence[Part], units: Sequence[str]) -> int:
    """The most that any ECG lead has; of any channel, where there is no ECG."""
    counts = [
        (units[lead] == MILLIVOLT, signal.samples_per_frame)
        for part in parts
        for signal, lead in zip(part.header.signals, part.lead_of, strict=True)
        if lead is not None
    ]
    return max(counts, default=(False, 1))[1]
