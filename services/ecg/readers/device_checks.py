"""What is asked of a device's file before a library reads it, so that it cannot cost too much."""

from __future__ import annotations

import binascii
import struct
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from services.ecg.readers.base import Limits, SourceFile, check_extent, shown
from services.ecg.readers.safe_xml import parsed_xml
from services.ecg.record import EcgRecord
from services.errors import MalformedInput, TooLarge, UnusableInput

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DICOM_BYTES = 8 * 1024 * 1024  # twelve leads at 1000 Hz for five minutes
MAX_DICOM_ELEMENTS = 10_000
MAX_SCP_BYTES = 1024 * 1024  # a ten-second ECG takes 20 to 40 kB
SCP_HEAD_BYTES = 32  # of the file and of its section 0, to where the first pointer ends
MAX_SCP_BEATS = 1000
MAX_XLI_BYTES = 8 * 1024 * 1024

_DICOM_OVERHEAD_BYTES, _DICOM_CHANNEL_BYTES = 64 * 1024, 4096  # headers, annotations
_WAVEFORMS = 0x54000100  # the tag of the waveform sequence
_DEFLATED = "1.2.840.10008.1.2.1.99"
_SECTION_HEADER_BYTES = 16
_XLI_HEADER_BYTES = 8
_XLI_CODE_BITS = 10
_XLI_LAST_CODE = (1 << _XLI_CODE_BITS) - 2
_PULSE_MV = (0.9, 1.1)
_SHORTEST_PULSE_S = 0.1


# `warnings.catch_warnings` is for one thread at a time
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """What a library warns of, for us and not for the log: it may quote the file."""
    with _ONE_AT_A_TIME, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def check_dicom(file: SourceFile, _limits: Limits) -> None:
    """Size, no compression of the whole file (it could unpack to anything), and whole waveforms.

    All of its groups must be whole: where the first is damaged, the median beat behind it would
    else be taken for the recording.
    """
    name = shown(file.plain_name)
    if file.n_bytes > MAX_DICOM_BYTES:
        raise TooLarge(
            f"{name} has {file.n_bytes:,} bytes, at most {MAX_DICOM_BYTES:,} are read of DICOM"
        )
    groups, n_other_bytes = _dicom_groups(file)
    if not groups:
        raise UnusableInput(f"{name} is DICOM without a waveform in it")
    for number, (n_channels, n_samples, bits, n_bytes) in enumerate(groups, start=1):
        expected = n_channels * n_samples * bits // 8
        if n_channels < 1 or n_samples < 1 or n_bytes not in (expected, expected + expected % 2):
            raise MalformedInput(
                f"{name}, waveform {number}: {n_samples:,} samples of {n_channels} channels of "
                f"{bits} bits announced, its data has {n_bytes:,} bytes"
            )
    unexplained = file.n_bytes - n_other_bytes - sum(group[3] for group in groups)
    if unexplained > _DICOM_OVERHEAD_BYTES + _DICOM_CHANNEL_BYTES * sum(g[0] for g in groups):
        raise MalformedInput(
            f"{name} is damaged: {unexplained:,} of its {file.n_bytes:,} bytes belong to nothing"
        )


def _dicom_groups(file: SourceFile) -> tuple[list[tuple[int, int, int, int]], int]:
    """Channels, samples, bits and bytes of data of each group of waveforms; bytes beside them."""
    from pydicom import dcmread
    from pydicom.errors import BytesLengthException, InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    try:
        with recorded_warnings():
            syntax = str(read_file_meta_info(file.path).get("TransferSyntaxUID", ""))
            if syntax.strip("\0 ") == _DEFLATED:
                raise UnusableInput(
                    f"{shown(file.plain_name)} is deflated DICOM; send it uncompressed"
                )
            whole = dcmread(file.path)
            if len(whole) > MAX_DICOM_ELEMENTS:
                raise TooLarge(f"{shown(file.plain_name)} has {len(whole):,} DICOM elements")
            # as they lie in the file; sequences whose end is marked say no length
            others = [whole.get_item(tag) for tag in set(whole.keys()) - {_WAVEFORMS}]
            beside = sum(getattr(element, "length", 0) for element in others)
            return [_dicom_group(item) for item in whole.get("WaveformSequence") or ()], beside
    except OSError as error:
        if error.errno is not None:  # a disk's, not the file's; pydicom gives its own no number
            raise
        raise MalformedInput(f"{shown(file.plain_name)} is damaged: no readable DICOM") from error
    except (
        BytesLengthException,
        InvalidDicomError,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        NotImplementedError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise MalformedInput(f"{shown(file.plain_name)} is damaged: no readable DICOM") from error


def _dicom_group(item: Any) -> tuple[int, int, int, int]:
    return (
        int(item.get("NumberOfWaveformChannels") or 0),
        int(item.get("NumberOfWaveformSamples") or 0),
        int(item.get("WaveformBitsAllocated") or 0),
        len(item.get("WaveformData") or b""),
    )


def check_xml(file: SourceFile, _limits: Limits) -> None:
    """Well-formed, without entities, within the limits of XML here."""
    parsed_xml(file)


def check_sierra(file: SourceFile, _limits: Limits) -> None:
    """As XML, and how much its compressed leads unpack to."""
    root, name = parsed_xml(file), shown(file.plain_name)
    for waves in root.iter("parsedwaveforms"):
        compression = waves.get("compression", "") or waves.get("compressmethod", "")
        if compression.upper() != "XLI":
            continue
        try:
            packed = binascii.a2b_base64(waves.text or "")
        except ValueError as error:
            raise MalformedInput(f"{name}, parsedwaveforms: its Base64 is damaged") from error
        room = MAX_XLI_BYTES
        for chunk in _xli_chunks(packed):
            room -= _unpacked_bytes(chunk, at_most=room)
            if room <= 0:
                raise TooLarge(f"{name}: its leads unpack to more than {MAX_XLI_BYTES:,} bytes")


def _xli_chunks(packed: bytes) -> Iterator[bytes]:
    """The compressed bytes of each lead; a damaged header is for the decoder to refuse."""
    at = 0
    while at + _XLI_HEADER_BYTES <= len(packed):
        (size,) = struct.unpack_from("<i", packed, at)
        at += _XLI_HEADER_BYTES
        if size <= 0:
            return
        yield packed[at : at + size]
        at += size


def _unpacked_bytes(chunk: bytes, *, at_most: int) -> int:
    """How much these LZW codes unpack to, counted without unpacking; stops beyond `at_most`."""
    bits = np.unpackbits(np.frombuffer(chunk, dtype=np.uint8))
    whole = len(bits) // _XLI_CODE_BITS * _XLI_CODE_BITS
    codes = bits[:whole].reshape(-1, _XLI_CODE_BITS) @ (1 << np.arange(_XLI_CODE_BITS)[::-1])
    length = dict.fromkeys(range(256), 1)
    next_code, previous, total = 256, 0, 0
    for code in codes.tolist():
        if code > _XLI_LAST_CODE or total > at_most:
            break
        current = length.setdefault(code, previous + 1)
        if previous and next_code <= _XLI_LAST_CODE:
            length[next_code] = previous + 1
            next_code += 1
        previous = current
        total += current
    return total


def without_calibration_pulse(record: EcgRecord) -> EcgRecord:
    """The record without its end, where Philips puts the same 1 mV pulse into every lead."""
    middle = np.median(record.signal, axis=0)
    # three quarters: one damaged lead must not keep the pulse of the others in the record
    differing = np.flatnonzero((record.signal == middle).mean(axis=0) < 0.75)
    end = int(differing[-1]) + 1 if len(differing) else 0
    pulse = middle[end:]
    if record.n_leads < 3 or end == 0 or len(pulse) < _SHORTEST_PULSE_S * record.sampling_rate_hz:
        return record
    if not (_PULSE_MV[0] <= pulse.max() <= _PULSE_MV[1] and abs(pulse.min()) < 0.1):
        return record
    note = (
        f"the calibration pulse at the end ({len(pulse) / record.sampling_rate_hz:.3g} s) "
        "is left out"
    )
    return replace(record, signal=record.signal[:, :end].copy(), notes=(*record.notes, note))


def is_scp(file: SourceFile) -> bool:
    """Section 0 is the first, describes itself first, and lies where it must."""
    head = file.head(SCP_HEAD_BYTES)
    if len(head) < SCP_HEAD_BYTES:
        return False
    section, n_bytes = struct.unpack_from("<HI", head, 8)
    first, _, at = struct.unpack_from("<HII", head, 22)
    return (section, first, at) == (0, 0, 7) and n_bytes >= 26 and (n_bytes - 16) % 10 == 0


def check_scp(file: SourceFile, limits: Limits) -> None:
    """Size, length and checksum, and how many samples and beats are announced."""
    name, data = shown(file.plain_name), file.content(at_most_bytes=MAX_SCP_BYTES)
    if len(data) < SCP_HEAD_BYTES:
        raise MalformedInput(f"{name} has {len(data)} bytes, less than the head of an SCP file")
    checksum, n_bytes = struct.unpack_from("<HI", data, 0)
    if n_bytes != len(data):
        raise MalformedInput(f"{name} announces {n_bytes:,} bytes and has {len(data):,}")
    if binascii.crc_hqx(data[2:], 0xFFFF) != checksum:
        raise MalformedInput(f"{name} is damaged: its checksum does not fit its content")
    sections = _scp_sections(data)
    leads, beats = sections.get(3, b""), sections.get(4, b"")
    if len(leads) < 2 or len(leads) < 2 + 9 * leads[0]:
        raise MalformedInput(f"{name}: section 3 (its leads) is missing or cut off")
    spans = [struct.unpack_from("<II", leads, 2 + 9 * i) for i in range(leads[0])]
    check_extent(
        file.plain_name,
        n_samples=max((stop - start + 1 for start, stop in spans), default=0),
        n_leads=len(spans),
        sampling_rate_hz=_scp_rate_hz(name, sections.get(6, b"")),
        limits=limits,
    )
    if len(set(spans)) > 1:
        raise UnusableInput(f"{name}: its leads were not recorded at the same time")
    if len(beats) >= 6 and struct.unpack_from("<H", beats, 4)[0] > MAX_SCP_BEATS:
        raise TooLarge(f"{name} lists more than {MAX_SCP_BEATS} beats")


def _scp_sections(data: bytes) -> dict[int, bytes]:
    """The bodies of the sections that lie inside of the file."""
    (n_bytes,) = struct.unpack_from("<I", data, 10)
    bodies: dict[int, bytes] = {}
    for at, end in pairwise(range(22, min(6 + n_bytes, len(data)) + 1, 10)):
        section, length, start = struct.unpack_from("<HII", data[at:end])
        if start and length >= _SECTION_HEADER_BYTES:
            bodies[section] = data[start - 1 + _SECTION_HEADER_BYTES : start - 1 + length]
    return bodies


def _scp_rate_hz(name: str, rhythm: bytes) -> float:
    interval_us = struct.unpack_from("<H", rhythm, 2)[0] if len(rhythm) >= 6 else 0
    if not interval_us:
        raise MalformedInput(f"{name}: section 6 (its rhythm) is missing or has no interval")
    return 1e6 / float(interval_us)
