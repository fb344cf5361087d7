"""What a WFDB header (`.hea`) says: a strict parser whose errors name file and line.

Format: https://physionet.org/physiotools/wag/header-5.htm
Nothing is opened here, and no name that a header gives is trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from services.ecg.readers.base import refuse, shown
from services.errors import MalformedInput, TooLarge, UnusableInput

NO_FILE = "~"  # instead of a file or segment name: nothing was recorded
NULL_FORMAT = 0
FORMATS = frozenset({8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524})

DEFAULT_RATE_HZ = 250.0  # header(5), where a header gives none
MIN_GAIN, MAX_GAIN = 1e-6, 1e12  # beyond these a float32 of the samples says nothing

_NUMBER = r"[+-]?(?:\d{1,15}\.?\d{0,15}|\.\d{1,15})(?:[eE][+-]?\d{1,3})?"
_RECORD_NAME = re.compile(r"([^\s/\\]{1,100})(?:/(\d{1,7}))?")
_RATE = re.compile(rf"({_NUMBER})(?:/{_NUMBER}(?:\({_NUMBER}\))?)?")
_STORAGE = re.compile(r"(\d{1,4})(?:x(\d{1,6}))?(?::(\d{1,9}))?(?:\+(\d{1,12}))?")
_GAIN = re.compile(rf"({_NUMBER})(?:\(([+-]?\d{{1,12}})\))?(?:/(\S{{0,20}}))?")
_COUNT = re.compile(r"\d{1,15}")
_INTEGER = re.compile(r"[+-]?\d{1,12}")


@dataclass(frozen=True)
class SignalLine:
    """One signal of a single-segment record. `gain` and `unit` are None when not stated."""

    line: int
    file_name: str
    storage: int
    samples_per_frame: int
    skew_frames: int
    byte_offset: int
    gain: float | None
    baseline: int
    unit: str | None
    init_value: int
    checksum: int | None
    name: str

    @property
    def has_data(self) -> bool:
        """Whether there is a file to read; if not, all samples are missing."""
        return self.storage != NULL_FORMAT and self.file_name != NO_FILE


@dataclass(frozen=True)
class SegmentLine:
    """One segment of a multi-segment record; NO_FILE is a gap."""

    line: int
    name: str
    n_frames: int


@dataclass(frozen=True)
class Header:
    """A parsed header: either `signals` or `segments` is empty."""

    file_name: str
    record_name: str
    n_signals: int
    frame_rate_hz: float
    n_frames: int | None
    start_time: datetime | None
    signals: tuple[SignalLine, ...]
    segments: tuple[SegmentLine, ...]

    @property
    def is_multi_segment(self) -> bool:
        """Whether the signals are in other headers."""
        return bool(self.segments)

    @property
    def has_layout(self) -> bool:
        """Variable layout: the first segment only says which signals there may be."""
        return bool(self.segments) and self.segments[0].n_frames == 0


def parsed_header(file_name: str, content: bytes, *, max_leads: int) -> Header:
    """The header in `content`.

    MalformedInput for what is not a header; UnusableInput for a rate or gain that is none;
    TooLarge for more signals than `max_leads`.
    """
    lines = _lines(file_name, _decoded(file_name, content))
    if not lines:
        raise MalformedInput(f"{shown(file_name)} has no record line, only comments or blanks")
    (number, text), body = lines[0], lines[1:]
    fields = text.split()
    name, n_segments = _record_name(file_name, number, fields[0])
    n_signals = _n_signals(file_name, number, fields, max_leads)
    expected = n_signals if n_segments is None else n_segments
    if len(body) != expected:
        kind = "signal" if n_segments is None else "segment"
        refuse(file_name, number, f"{expected} {kind} lines announced, {len(body)} follow")
    signals = [] if n_segments is not None else [_signal(file_name, *line) for line in body]
    segments = [] if n_segments is None else [_segment(file_name, *line) for line in body]
    return Header(
        file_name=file_name,
        record_name=name,
        n_signals=n_signals,
        frame_rate_hz=_rate(file_name, number, fields),
        n_frames=_n_frames(file_name, number, fields),
        start_time=_start_time(fields),
        signals=tuple(signals),
        segments=tuple(segments),
    )


def _decoded(file_name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedInput(
            f"{shown(file_name)} is not UTF-8 text: byte {content[error.start]:#04x} "
            f"at offset {error.start}"
        ) from error


def _lines(file_name: str, text: str) -> list[tuple[int, str]]:
    """Numbered lines without comments and blanks."""
    lines = []
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        line = raw.strip()
        if "\0" in line:
            refuse(file_name, number, "a header is text, found a zero byte")
        if line and not line.startswith("#"):
            lines.append((number, line))
    return lines


def _record_name(file_name: str, line: int, field: str) -> tuple[str, int | None]:
    match = _RECORD_NAME.fullmatch(field)
    if not match:
        refuse(file_name, line, f"expected a record name, found '{shown(field)}'")
    if match[2] is None:
        return match[1], None
    if int(match[2]) == 0:
        refuse(file_name, line, "a multi-segment record of 0 segments")
    return match[1], int(match[2])


def _n_signals(file_name: str, line: int, fields: list[str], max_leads: int) -> int:
    if len(fields) < 2 or not _COUNT.fullmatch(fields[1]):
        found = f"'{shown(fields[1])}'" if len(fields) > 1 else "nothing"
        refuse(file_name, line, f"expected the number of signals, found {found}")
    count = int(fields[1])
    if count > max_leads:
        raise TooLarge(
            f"{shown(file_name)}, line {line}: {count} signals announced, "
            f"at most {max_leads} are read"
        )
    return count


def _rate(file_name: str, line: int, fields: list[str]) -> float:
    if len(fields) < 3:
        return DEFAULT_RATE_HZ
    match = _RATE.fullmatch(fields[2])
    if not match:
        refuse(file_name, line, f"expected a sampling rate in Hz, found '{shown(fields[2])}'")
    if not float(match[1]) > 0:
        raise UnusableInput(
            f"{shown(file_name)}, line {line}: the sampling rate must be above 0 Hz, "
            f"found {shown(match[1])}"
        )
    return float(match[1])


def _n_frames(file_name: str, line: int, fields: list[str]) -> int | None:
    """None when the header leaves it to the size of the data."""
    if len(fields) < 4:
        return None
    if not _COUNT.fullmatch(fields[3]):
        refuse(file_name, line, f"expected the number of samples, found '{shown(fields[3])}'")
    return int(fields[3]) or None


def _start_time(fields: list[str]) -> datetime | None:
    """Date and time of the first sample if both are there; other spellings are not an error."""
    text = " ".join(fields[4:6])
    for pattern in ("%H:%M:%S %d/%m/%Y", "%H:%M:%S.%f %d/%m/%Y"):
        try:
            # a header knows no time zone
            return datetime.strptime(text, pattern)  # noqa: DTZ007
        except ValueError:
            continue
    return None


def _segment(file_name: str, line: int, text: str) -> SegmentLine:
    fields = text.split()
    if len(fields) != 2 or not _COUNT.fullmatch(fields[1]):
        refuse(
            file_name, line, f"expected a segment and its number of samples, found '{shown(text)}'"
        )
    return SegmentLine(line=line, name=fields[0], n_frames=int(fields[1]))


def _signal(file_name: str, line: int, text: str) -> SignalLine:
    fields = text.split(None, 8)
    if len(fields) < 2:
        refuse(file_name, line, f"expected a file name and a storage format, found '{shown(text)}'")
    storage, per_frame, skew, offset = _storage(file_name, line, fields[1])
    gain, baseline, unit = _gain(file_name, line, fields[2] if len(fields) > 2 else None)
    _, adc_zero, init_value, checksum, _ = _numbers(file_name, line, fields[3:8])
    return SignalLine(
        line=line,
        file_name=fields[0],
        storage=storage,
        samples_per_frame=per_frame,
        skew_frames=skew,
        byte_offset=offset,
        gain=gain,
        baseline=baseline if baseline is not None else (adc_zero or 0),
        unit=unit,
        init_value=init_value if init_value is not None else (adc_zero or 0),
        checksum=checksum,
        name=shown(fields[8].strip()) if len(fields) > 8 else "",
    )


def _storage(file_name: str, line: int, field: str) -> tuple[int, int, int, int]:
    match = _STORAGE.fullmatch(field)
    if not match:
        refuse(
            file_name, line, f"expected a storage format like 212 or 16x2, found '{shown(field)}'"
        )
    storage = int(match[1])
    if storage not in FORMATS and storage != NULL_FORMAT:
        known = ", ".join(str(known) for known in sorted(FORMATS))
        refuse(file_name, line, f"storage format {storage} is not one of {known}")
    return storage, int(match[2] or 1) or 1, int(match[3] or 0), int(match[4] or 0)


def _gain(
    file_name: str, line: int, field: str | None
) -> tuple[float | None, int | None, str | None]:
    if field is None:
        return None, None, None
    match = _GAIN.fullmatch(field)
    if not match:
        refuse(file_name, line, f"expected a gain like 200(0)/mV, found '{shown(field)}'")
    gain = float(match[1])
    if gain == 0:
        raise UnusableInput(
            f"{shown(file_name)}, line {line}: a gain of 0 marks an uncalibrated signal, "
            "its samples cannot be turned into millivolts"
        )
    if not MIN_GAIN <= abs(gain) <= MAX_GAIN:
        raise UnusableInput(
            f"{shown(file_name)}, line {line}: a gain of {shown(match[1])} per unit is not credible"
        )
    return gain, int(match[2]) if match[2] else None, match[3] or None


def _numbers(file_name: str, line: int, fields: list[str]) -> list[int | None]:
    """ADC resolution, ADC zero, first value, checksum, block size: as many as there are."""
    names = ("ADC resolution", "ADC zero", "first value", "checksum", "block size")
    for name, field in zip(names, fields, strict=False):
        if not _INTEGER.fullmatch(field):
            refuse(file_name, line, f"expected the {name}, an integer, found '{shown(field)}'")
    return [*(int(field) for field in fields), *(None for _ in names[len(fields) :])]
