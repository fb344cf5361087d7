"""A record as WFDB files in a zip: header, samples in format 16, and annotations.

Formats: https://physionet.org/physiotools/wag/header-5.htm and .../signal-5.htm
"""

from __future__ import annotations

import re
import zipfile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from services.ecg.annotation_files import ANNOTATOR, annotation_bytes, symbol_bytes
from services.ecg.record import EcgRecord
from services.ecg.writers.counts import Scale, scales
from services.ecg.writers.findings import BeatFindings

REFERENCE = "atr"  # the extension of annotations that came with the record

_MISSING = -32768
_PIECE_SAMPLES = 1 << 19


def wfdb_zip(record: EcgRecord, target: IO[bytes], *, beats: BeatFindings | None = None) -> None:
    """`NAME.hea`, `NAME.dat`, `NAME.atr` for reference annotations and `NAME.ectopy` for beats.

    Every lead keeps its unit; missing samples stay missing. The name is the record's, with `_` for
    what a WFDB name cannot hold. UnusableInput for values that 16 bits do not hold, before anything
    is written.
    """
    name = re.sub(r"[^-0-9A-Za-z_]", "_", record.name)[:60] or "record"
    lead_scales = scales(record)
    with zipfile.ZipFile(target, "w") as archive:
        checksums = np.zeros(record.n_leads, dtype=np.int64)
        with archive.open(zipfile.ZipInfo(f"{name}.dat"), "w", force_zip64=True) as samples:
            for start in range(0, record.n_samples, _PIECE_SAMPLES):
                counts = _counts(record, lead_scales, start)
                checksums += counts.sum(axis=0, dtype=np.int64)
                samples.write(counts.data)
        header = _header(name, record, lead_scales, checksums)
        archive.writestr(zipfile.ZipInfo(f"{name}.hea"), header)
        if record.annotations is not None and len(record.annotations):
            archive.writestr(zipfile.ZipInfo(f"{name}.{REFERENCE}"), _reference(record))
        if beats is not None:
            content = annotation_bytes(
                beats.sample, labels=beats.labels, sampling_rate_hz=record.sampling_rate_hz
            )
            archive.writestr(zipfile.ZipInfo(f"{name}.{ANNOTATOR}"), content)


def _counts(record: EcgRecord, lead_scales: tuple[Scale, ...], start: int) -> NDArray[np.int16]:
    """(samples, leads) little-endian, of a piece of the record."""
    piece = record.signal[:, start : start + _PIECE_SAMPLES]
    columns = [
        scale.counts(lead, missing=_MISSING) for scale, lead in zip(lead_scales, piece, strict=True)
    ]
    return np.stack(columns, axis=1).astype("<i2")


def _header(
    name: str, record: EcgRecord, lead_scales: tuple[Scale, ...], checksums: NDArray[np.int64]
) -> bytes:
    first = _counts(record, lead_scales, 0)[0] if record.n_samples else np.zeros(record.n_leads)
    start = f" {record.start_time:%H:%M:%S %d/%m/%Y}" if record.start_time else ""
    rate = f"{record.sampling_rate_hz:.10g}"
    lines = [f"{name} {record.n_leads} {rate} {record.n_samples}{start}"]
    for index, scale in enumerate(lead_scales):
        unit = re.sub(r"\s", "_", record.units[index]) or "NU"
        checksum = (int(checksums[index]) + 32768) % 65536 - 32768
        description = " ".join(record.lead_names[index].split())
        lines.append(
            f"{name}.dat 16 {scale.gain:g}(0)/{unit} 16 0 {int(first[index])} {checksum} 0 "
            f"{description}"
        )
    return ("\n".join(lines) + "\n").encode()


def _reference(record: EcgRecord) -> bytes:
    annotations = record.annotations
    if annotations is None:
        return b""
    return symbol_bytes(
        annotations.sample,
        symbols=annotations.symbol,
        notes=annotations.note or ("",) * len(annotations),
        sampling_rate_hz=record.sampling_rate_hz,
    )
