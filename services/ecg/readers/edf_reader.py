"""EDF, EDF+ and BDF: the file must be exactly as long as its header says, then it is decoded.

Decoded here and not by a library: a day of ECG must not be held in memory, and a file that is cut
off or longer than announced must be refused, not read in part.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.leads import distinct_names
from services.ecg.readers.base import Limits, ReadHints, SourceFile, check_extent, shown
from services.ecg.readers.edf_annotations import EdfTexts, beat_annotations, edf_texts
from services.ecg.readers.edf_header import (
    BDF_MAGIC,
    EDF_MAGIC,
    HEAD_BYTES,
    MAX_SIGNALS,
    EdfHeader,
    EdfSignal,
    parsed_edf_header,
)
from services.ecg.readers.signal_memory import empty_signal, finished
from services.ecg.readers.single_file import SingleFileReader
from services.ecg.readers.units import channel_unit
from services.ecg.record import MILLIVOLT, EcgRecord, FloatArray
from services.errors import MalformedInput, UnusableInput

_PIECE_BYTES = 4 * 1024 * 1024


class EdfReader(SingleFileReader):
    """16-bit EDF and 24-bit BDF, with or without the annotations of EDF+."""

    accepted = "EDF, EDF+ or BDF (.edf, .bdf)"
    extensions = ("edf", "bdf", "rec")

    def fits(self, file: SourceFile) -> bool:
        """By the version field, and by a date where a date must be."""
        head = file.head(HEAD_BYTES)
        return head.startswith(BDF_MAGIC) or (
            head.startswith(EDF_MAGIC) and head[170:171] == b"." == head[173:174]
        )

    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """Every signal at the rate of the fastest ECG lead."""
        head = file.head(HEAD_BYTES * (MAX_SIGNALS + 1))
        header = parsed_edf_header(file.plain_name, head[:HEAD_BYTES], head[HEAD_BYTES:])
        return _Decoding(file, header, limits).record(workspace)


class _Decoding:
    """One file: its layout, settled before any memory is taken for its samples."""

    def __init__(self, file: SourceFile, header: EdfHeader, limits: Limits) -> None:
        self.file, self.header = file, header
        self.name = shown(file.plain_name)
        self.n_records = self._n_records()
        self.signals = [signal for signal in header.signals if not signal.is_annotations]
        units = [channel_unit(signal.label, signal.unit or None) for signal in self.signals]
        self.units = tuple(unit for unit, _ in units)
        self.factors = [factor for _, factor in units]
        self.per_record = self._samples_per_record()
        self.sampling_rate_hz = self.per_record / header.record_duration_s
        self._check(limits, n_samples=self.n_records * self.per_record)
        self.texts = self._texts()
        self.starts = self._record_starts()
        self.n_samples = int(self.starts[-1]) + self.per_record
        self._check(limits, n_samples=self.n_samples)

    def record(self, workspace: Path) -> EcgRecord:
        annotations, notes = beat_annotations(
            self.texts, sampling_rate_hz=self.sampling_rate_hz, n_samples=self.n_samples
        )
        return EcgRecord(
            signal=self._signal(workspace),
            lead_names=distinct_names([signal.label for signal in self.signals]),
            sampling_rate_hz=self.sampling_rate_hz,
            units=self.units,
            format="bdf" if self.header.sample_bytes == 3 else "edf",
            annotations=annotations,
            start_time=self.header.start_time,
            notes=(*notes, *self._notes()),
        )

    def _check(self, limits: Limits, *, n_samples: int) -> None:
        check_extent(
            self.file.plain_name,
            n_samples=n_samples,
            n_leads=len(self.signals),
            sampling_rate_hz=self.sampling_rate_hz,
            limits=limits,
        )

    def _n_records(self) -> int:
        """As announced; MalformedInput where the file is not exactly that long."""
        record_bytes = self.header.record_samples * self.header.sample_bytes
        n_bytes = self.file.n_bytes - self.header.n_header_bytes
        if self.header.n_records == -1 and n_bytes >= record_bytes:  # a recording that was cut off
            return n_bytes // record_bytes
        if self.header.n_records * record_bytes != n_bytes:
            raise MalformedInput(
                f"{self.name} announces {self.header.n_records} data records of {record_bytes:,} "
                f"bytes, {n_bytes:,} bytes follow its header"
            )
        return self.header.n_records

    def _samples_per_record(self) -> int:
        """Of the fastest ECG lead; of the fastest signal, where there is no ECG."""
        counts = [
            (unit == MILLIVOLT, signal.samples_per_record)
            for signal, unit in zip(self.signals, self.units, strict=True)
        ]
        return max(counts)[1]

    def _texts(self) -> EdfTexts:
        marked = [signal for signal in self.header.signals if signal.is_annotations]
        if not marked:
            return EdfTexts([], [])
        width = self.header.sample_bytes
        start, stop = marked[0].offset * width, marked[0].samples_per_record * width
        blocks = (
            row[start : start + stop].tobytes() for _, piece in self._pieces() for row in piece
        )
        return edf_texts(self.file.plain_name, blocks)

    def _record_starts(self) -> NDArray[np.int64]:
        """First sample of each data record; there are gaps between those of EDF+D only."""
        contiguous = np.arange(self.n_records, dtype=np.int64) * self.per_record
        if not self.header.is_interrupted:
            return contiguous
        start_s = np.array(self.texts.record_start_s)
        if len(start_s) != self.n_records:
            raise MalformedInput(f"{self.name} is interrupted but does not say when")
        starts: NDArray[np.int64] = np.rint((start_s - start_s[0]) * self.sampling_rate_hz).astype(
            np.int64
        )
        if np.any(np.diff(starts) < self.per_record):
            raise MalformedInput(f"{self.name}: its data records overlap in time")
        return starts

    def _pieces(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Number of the first data record, and (n, bytes a data record) of some of them."""
        record_bytes = self.header.record_samples * self.header.sample_bytes
        at_once = max(1, _PIECE_BYTES // record_bytes)
        with self.file.opened() as stream:
            stream.seek(self.header.n_header_bytes)
            for first in range(0, self.n_records, at_once):
                n = min(at_once, self.n_records - first)
                raw = np.frombuffer(stream.read(n * record_bytes), dtype=np.uint8)
                if raw.size != n * record_bytes:
                    raise UnusableInput(f"{self.name} changed while it was read")
                yield first, raw.reshape(n, record_bytes)

    def _signal(self, workspace: Path) -> FloatArray:
        signal = empty_signal(len(self.signals), self.n_samples, workspace)
        if self.n_samples != self.n_records * self.per_record:
            signal[:] = np.nan
        for first, piece in self._pieces():
            for lead, (source, factor) in enumerate(zip(self.signals, self.factors, strict=True)):
                # a scale that overflows is found to be no ECG later
                with np.errstate(over="ignore", invalid="ignore"):
                    self._place(signal[lead], self._physical(source, piece) * factor, first)
        return finished(signal)

    def _place(self, lead: FloatArray, values: NDArray[np.float64], first: int) -> None:
        """Puts data records, the first of them number `first`, where they belong in time."""
        if not self.header.is_interrupted:
            start = first * self.per_record
            lead[start : start + values.size] = values.reshape(-1)
            return
        for row, start in zip(values, self.starts[first:], strict=False):
            lead[start : start + self.per_record] = row

    def _physical(self, source: EdfSignal, piece: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(data records, samples a record) in the signal's unit, held to the common rate."""
        width = self.header.sample_bytes
        start, n = source.offset * width, source.samples_per_record
        digital = _integers(piece[:, start : start + n * width], width)
        if n != self.per_record:
            digital = digital[:, np.arange(self.per_record) * n // self.per_record]
        physical: NDArray[np.float64] = (digital - float(source.digital_min)) * source.gain
        return physical + source.physical_min

    def _notes(self) -> list[str]:
        return [
            f"{shown(source.label)} was recorded at {self.header.sampling_rate_hz(source):g} Hz "
            f"and is held at its latest sample to fit {self.sampling_rate_hz:g} Hz"
            for source in self.signals
            if source.samples_per_record != self.per_record
        ]


def _integers(raw: NDArray[np.uint8], width: int) -> NDArray[Any]:
    """(rows, n) little-endian two's complement integers of 2 or 3 bytes."""
    raw = np.ascontiguousarray(raw)
    if width == 2:
        return raw.view("<i2")
    three = raw.reshape(len(raw), -1, 3).astype(np.int32)
    return three[..., 0] | (three[..., 1] << 8) | (((three[..., 2] ^ 0x80) - 0x80) << 16)
