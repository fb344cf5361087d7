"""ISHNE Holter recordings: length and checksum must fit, then the samples are mapped.

Format: Badilini, "The ISHNE Holter Standard Output File Format", Annals of Noninvasive
Electrocardiology 3(3):263 (1998). The patient's fields are passed over.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np

from services.ecg.leads import distinct_names
from services.ecg.readers.base import (
    MAX_TEXT_BYTES,
    Limits,
    ReadHints,
    SourceFile,
    check_extent,
    shown,
)
from services.ecg.readers.signal_memory import empty_signal, finished
from services.ecg.readers.single_file import SingleFileReader
from services.ecg.readers.text_fields import moment
from services.ecg.record import EcgRecord, FloatArray
from services.errors import MalformedInput

MAGIC = b"ISHNE1.0"
HEAD_BYTES = 522
MAX_LEADS = 12

_CHECKSUM_FROM = 10
_MISSING = -32768
_PIECE_SAMPLES = 1 << 19
_LEAD_OF_CODE = MappingProxyType(
    dict(enumerate(("Vx", "Vy", "Vz", "I", "II", "III", "aVR", "aVL", "aVF"), start=2))
    | {10 + i: f"V{i}" for i in range(1, 7)}
    | {17: "ES", 18: "AS", 19: "AI"}
)


@dataclass(frozen=True)
class _Header:
    checksum: int
    n_samples: int
    data_offset: int
    sampling_rate_hz: int
    lead_codes: tuple[int, ...]
    nanovolts: tuple[int, ...]
    start_time: datetime | None


class IshneReader(SingleFileReader):
    """The `.ecg` file of ISHNE 1.0."""

    accepted = "ISHNE Holter (.ecg)"
    extensions = ("ecg",)

    def fits(self, file: SourceFile) -> bool:
        """By the magic word."""
        return file.head(8) == MAGIC

    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """Leads without a name in the file get theirs from the request, if it gives as many."""
        header = _parsed(file)
        check_extent(
            file.plain_name,
            n_samples=header.n_samples,
            n_leads=len(header.lead_codes),
            sampling_rate_hz=header.sampling_rate_hz,
            limits=limits,
        )
        _check_checksum(file, header)
        return EcgRecord(
            signal=_signal(file, header, workspace),
            lead_names=_lead_names(header, hints),
            sampling_rate_hz=float(header.sampling_rate_hz),
            format="ishne",
            start_time=header.start_time,
        )


def _parsed(file: SourceFile) -> _Header:
    name, head = shown(file.plain_name), file.head(HEAD_BYTES)
    if not head.startswith(MAGIC) or len(head) < HEAD_BYTES:
        raise MalformedInput(f"{name} has no whole ISHNE header ({HEAD_BYTES} bytes)")
    (checksum,) = struct.unpack_from("<H", head, 8)
    note_bytes, n_samples, _, data_offset = struct.unpack_from("<4i", head, 10)
    (n_leads,) = struct.unpack_from("<h", head, 156)
    (rate_hz,) = struct.unpack_from("<h", head, 272)
    if not 1 <= n_leads <= MAX_LEADS:
        raise MalformedInput(f"{name}: {n_leads} leads announced, ISHNE has 1 to {MAX_LEADS}")
    if not 0 <= note_bytes <= MAX_TEXT_BYTES or data_offset != HEAD_BYTES + note_bytes:
        raise MalformedInput(
            f"{name}: its samples are announced at byte {data_offset}, "
            f"its notes end at {HEAD_BYTES + note_bytes}"
        )
    _check_length(name, file.n_bytes - data_offset, n_samples, n_leads)
    day, month, year, *_, hour, minute, second = struct.unpack_from("<9h", head, 138)
    return _Header(
        checksum=checksum,
        n_samples=(file.n_bytes - data_offset) // (2 * n_leads),
        data_offset=data_offset,
        sampling_rate_hz=rate_hz,
        lead_codes=struct.unpack_from(f"<{n_leads}h", head, 158),
        nanovolts=_resolutions(name, struct.unpack_from(f"<{n_leads}h", head, 206)),
        start_time=moment(year, month, day, hour, minute, second),
    )


def _check_length(name: str, n_bytes: int, n_samples: int, n_leads: int) -> None:
    """The standard counts samples a lead; some writers count those of all leads together."""
    if n_samples < 1 or n_bytes not in (2 * n_samples * n_leads, 2 * n_samples):
        raise MalformedInput(
            f"{name} announces {n_samples:,} samples of {n_leads} leads "
            f"({2 * n_samples * n_leads:,} bytes), {n_bytes:,} bytes follow its header"
        )
    if n_bytes % (2 * n_leads):
        raise MalformedInput(f"{name}: its last samples are not there for all of {n_leads} leads")


def _resolutions(name: str, nanovolts: tuple[int, ...]) -> tuple[int, ...]:
    for number, value in enumerate(nanovolts, start=1):
        if value < 1:
            raise MalformedInput(f"{name}, lead {number}: a resolution of {value} nV")
    return nanovolts


def _check_checksum(file: SourceFile, header: _Header) -> None:
    """Over header and notes, in either byte order; 0 is what writers put who do not compute it."""
    block = file.head(header.data_offset)[_CHECKSUM_FROM:]
    computed = binascii.crc_hqx(block, 0xFFFF)
    swapped = (computed & 0xFF) << 8 | computed >> 8
    if header.checksum not in (0, computed, swapped):
        raise MalformedInput(
            f"{shown(file.plain_name)} is damaged: its header has the checksum {computed:04x}, "
            f"{header.checksum:04x} is written in it"
        )


def _lead_names(header: _Header, hints: ReadHints) -> tuple[str, ...]:
    known = [_LEAD_OF_CODE.get(code, "") for code in header.lead_codes]
    if hints.leads is not None and len(hints.leads) == len(known):
        known = [name or hint for name, hint in zip(known, hints.leads, strict=True)]
    return distinct_names(known)


def _signal(file: SourceFile, header: _Header, workspace: Path) -> FloatArray:
    """Samples are stored lead after lead for each moment."""
    n_leads = len(header.lead_codes)
    signal = empty_signal(n_leads, header.n_samples, workspace)
    stored = np.memmap(
        file.path, "<i2", mode="r", offset=header.data_offset, shape=(header.n_samples, n_leads)
    )
    scale = np.array(header.nanovolts)[:, None] * 1e-6
    for start in range(0, header.n_samples, _PIECE_SAMPLES):
        piece = stored[start : start + _PIECE_SAMPLES].T
        values = piece * scale
        values[piece == _MISSING] = np.nan
        signal[:, start : start + values.shape[1]] = values
    return finished(signal)
