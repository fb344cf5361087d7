"""The header of an EDF or BDF file, field by field.

Formats: https://www.edfplus.info/specs/edf.html, .../edfplus.html and
https://www.biosemi.com/faq/file_format.htm. The fields for the patient and the recording are
passed over: they hold names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from services.ecg.readers.base import MAX_SAMPLING_RATE_HZ, shown
from services.ecg.readers.text_fields import decimal, moment, whole
from services.errors import MalformedInput, TooLarge, UnusableInput

HEAD_BYTES = 256
EDF_MAGIC = b"0       "
BDF_MAGIC = b"\xffBIOSEMI"
ANNOTATION_LABELS = ("EDF Annotations", "BDF Annotations")
MAX_SIGNALS = 512  # in the file; how many leads are read is limited on its own
MAX_DATA_RECORDS = 2_000_000  # a day has 86,400 of the usual second
MAX_RECORD_BYTES = 64 * 1024 * 1024

_SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_PLACEHOLDER = datetime(1985, 1, 1)  # noqa: DTZ001 - what EDF+ prescribes for no date


@dataclass(frozen=True)
class EdfSignal:
    """One signal: physical = (digital - digital_min) * gain + physical_min, in `unit`.

    offset: of its first sample in a data record, in samples.
    """

    label: str
    unit: str
    gain: float
    physical_min: float
    digital_min: int
    samples_per_record: int
    offset: int

    @property
    def is_annotations(self) -> bool:
        """Whether it is text and no signal."""
        return self.label in ANNOTATION_LABELS


@dataclass(frozen=True)
class EdfHeader:
    """What the file announces; `n_records` is -1 where it does not say."""

    sample_bytes: int
    n_header_bytes: int
    n_records: int
    record_duration_s: float
    is_interrupted: bool
    start_time: datetime | None
    signals: tuple[EdfSignal, ...]

    @property
    def record_samples(self) -> int:
        """Samples of all signals in a data record."""
        return sum(signal.samples_per_record for signal in self.signals)

    def sampling_rate_hz(self, signal: EdfSignal) -> float:
        """Of one signal."""
        return signal.samples_per_record / self.record_duration_s


def parsed_edf_header(file_name: str, head: bytes, rest: bytes) -> EdfHeader:
    """MalformedInput, TooLarge or UnusableInput, with the field.

    head: the first 256 bytes; rest: what follows, at least as long as the header.
    """
    name = shown(file_name)
    if len(head) < HEAD_BYTES:
        raise MalformedInput(f"{name} was cut off: {len(head)} of {HEAD_BYTES} header bytes")
    n_signals = whole(_text(head[252:256]), where=f"{name}, number of signals")
    if n_signals > MAX_SIGNALS:
        raise TooLarge(f"{name} announces {n_signals} signals, at most {MAX_SIGNALS} are read")
    n_header_bytes = whole(_text(head[184:192]), where=f"{name}, bytes in the header")
    if n_signals < 1 or n_header_bytes != HEAD_BYTES * (n_signals + 1):
        raise MalformedInput(
            f"{name}: {n_signals} signals take {HEAD_BYTES * (n_signals + 1)} header bytes, "
            f"{n_header_bytes} announced"
        )
    if len(rest) < n_header_bytes - HEAD_BYTES:
        raise MalformedInput(f"{name} was cut off inside its header")
    reserved = _text(head[192:236])
    header = EdfHeader(
        sample_bytes=3 if head.startswith(BDF_MAGIC) else 2,
        n_header_bytes=n_header_bytes,
        n_records=whole(_text(head[236:244]), where=f"{name}, number of data records"),
        record_duration_s=decimal(_text(head[244:252]), where=f"{name}, duration of a data record"),
        is_interrupted=reserved.startswith(("EDF+D", "BDF+D")),
        start_time=_start_time(_text(head[168:176]), _text(head[176:184])),
        signals=_signals(name, rest, n_signals),
    )
    _check(name, header)
    return header


def _text(field: bytes) -> str:
    return field.decode("latin-1").strip(" \0")


def _start_time(date: str, time: str) -> datetime | None:
    """`02.03.26`, `13.05.00`; years from 85 are of the last century. None for a placeholder."""
    found = re.fullmatch(r"(\d\d)\.(\d\d)\.(\d\d) (\d\d)[.:](\d\d)[.:](\d\d)", f"{date} {time}")
    if not found:
        return None
    day, month, year, hour, minute, second = map(int, found.groups())
    start = moment(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    return None if start == _PLACEHOLDER else start


def _signals(name: str, rest: bytes, n_signals: int) -> tuple[EdfSignal, ...]:
    """The fields are stored one after the other, each for all signals."""
    columns, at = [], 0
    for width in _SIGNAL_FIELDS:
        columns.append(
            [_text(rest[at + i * width : at + (i + 1) * width]) for i in range(n_signals)]
        )
        at += width * n_signals
    signals: list[EdfSignal] = []
    offset = 0
    for number, fields in enumerate(zip(*columns, strict=True), start=1):
        signals.append(_signal(f"{name}, signal {number}", fields, offset))
        offset += signals[-1].samples_per_record
    return tuple(signals)


def _signal(where: str, fields: tuple[str, ...], offset: int) -> EdfSignal:
    label, _, unit, low, high, digital_low, digital_high, _, n_samples, _ = fields
    samples_per_record = whole(n_samples, where=f"{where}, samples in a data record")
    if samples_per_record < 1:
        raise MalformedInput(f"{where}: {samples_per_record} samples in a data record")
    if label in ANNOTATION_LABELS:
        return EdfSignal(label, unit, 1.0, 0.0, 0, samples_per_record, offset)
    physical = [decimal(v, where=f"{where}, physical range") for v in (low, high)]
    digital = [whole(v, where=f"{where}, digital range") for v in (digital_low, digital_high)]
    if physical[0] == physical[1] or digital[0] >= digital[1]:
        raise MalformedInput(
            f"{where}: {digital[0]} to {digital[1]} stand for {physical[0]:g} to {physical[1]:g} "
            f"{shown(unit)}, which gives no scale"
        )
    gain = (physical[1] - physical[0]) / (digital[1] - digital[0])
    return EdfSignal(label, unit, gain, physical[0], digital[0], samples_per_record, offset)


def _check(name: str, header: EdfHeader) -> None:
    if header.n_records < -1 or header.n_records == 0:
        raise MalformedInput(f"{name}: {header.n_records} data records announced")
    if header.n_records > MAX_DATA_RECORDS:
        raise TooLarge(
            f"{name} announces {header.n_records:,} data records, "
            f"at most {MAX_DATA_RECORDS:,} are read"
        )
    if all(signal.is_annotations for signal in header.signals):
        raise UnusableInput(f"{name} has annotations only and no signal")
    if header.record_samples * header.sample_bytes > MAX_RECORD_BYTES:
        raise TooLarge(
            f"{name}: data records of {header.record_samples * header.sample_bytes:,} bytes, "
            f"at most {MAX_RECORD_BYTES:,} are read"
        )
    shortest_s = 1.0 / MAX_SAMPLING_RATE_HZ
    if not shortest_s <= header.record_duration_s <= 1e6:
        raise UnusableInput(f"{name}: data records of {header.record_duration_s:g} s")
