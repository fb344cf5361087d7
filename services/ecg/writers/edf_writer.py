"""A record as EDF+, with its beats as annotations, written piece by piece.

Format: https://www.edfplus.info/specs/edf.html and .../edfplus.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import IO

import numpy as np
from numpy.typing import NDArray

from services.ecg.annotation_files import SYMBOL_OF_LABEL
from services.ecg.leads import standard_name
from services.ecg.record import EcgRecord
from services.ecg.writers.counts import HIGHEST, Scale, scales
from services.ecg.writers.findings import BeatFindings
from services.errors import UnusableInput

MISSING = "missing samples"
END = "end of the recording"
MOST_ANNOTATION_BYTES = 256 * 1024 * 1024  # in a file
MOST_GAPS = 100_000
MOST_DATA_RECORDS = 2_000_000  # as many as are read

_MOST_RECORD_BYTES = 61_440  # what EDF recommends for a data record
_LONGEST_NUMBER = 8
_PIECE_BYTES = 1024 * 1024
_PIECE_SAMPLES = 1 << 19
_NO_DATE = date(1985, 1, 1)  # what EDF+ prescribes for none
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

Annotation = tuple[float, float | None, str]  # onset in s, duration in s or None, text


def edf_plus(record: EcgRecord, target: IO[bytes], *, beats: BeatFindings | None = None) -> None:
    """EDF+C. Each beat is an annotation with its WFDB symbol: those of `beats`, or else the
    record's own. EDF knows no missing sample: it is 0, and an annotation says from when to when.

    Where no data record fits the length, the last one is filled up and an annotation marks the end.
    UnusableInput for what EDF cannot hold, before anything is written.
    """
    per_record, duration_s = _data_records(record)
    n_records = -(-record.n_samples // per_record)
    if n_records > MOST_DATA_RECORDS:
        raise UnusableInput(f"{n_records:,} data records are too many for EDF")
    is_filled = n_records * per_record > record.n_samples
    annotations = sorted(_annotations(record, beats, is_filled), key=_order)
    texts = _texts(annotations, n_records, duration_s)
    width = _width(texts)
    lead_scales = scales(record)
    target.write(_header(record, lead_scales, (per_record, width // 2), n_records, duration_s))
    at_once = max(1, _PIECE_BYTES // (2 * per_record * record.n_leads + width))
    for first in range(0, n_records, at_once):
        notes = b"".join(text.ljust(width, b"\0") for text in texts[first : first + at_once])
        notes_of_each = np.frombuffer(notes, "<i2").reshape(-1, width // 2)
        stretch = slice(first * per_record, (first + len(notes_of_each)) * per_record)
        counts = [
            _counts(scale, lead[stretch], per_record)
            for scale, lead in zip(lead_scales, record.signal, strict=True)
        ]
        target.write(np.concatenate([*counts, notes_of_each], axis=1).data)


def _counts(scale: Scale, lead: NDArray[np.float32], per_record: int) -> NDArray[np.int16]:
    """(data records, samples) little-endian; the last one is filled up with its last sample."""
    counts = scale.counts(lead, missing=0)
    filled = np.pad(counts, (0, -len(counts) % per_record), mode="edge")
    return filled.reshape(-1, per_record).astype("<i2", copy=False)


def _data_records(record: EcgRecord) -> tuple[int, float]:
    """Samples a lead and seconds of a data record: near a second, whole, exact in eight digits."""
    most = max(1, _MOST_RECORD_BYTES // (2 * record.n_leads))
    rate_hz = Decimal(f"{record.sampling_rate_hz:.10g}")
    possible = [
        samples
        for samples in _near(round(record.sampling_rate_hz), most)
        if _is_exact(Decimal(samples), rate_hz)
    ]
    if not possible:
        raise UnusableInput(
            f"EDF cannot hold {record.sampling_rate_hz:g} Hz: no data record is a whole number of "
            "samples and a time of eight digits"
        )
    samples = min(possible, key=lambda samples: -record.n_samples % samples)
    return samples, float(Decimal(samples) / rate_hz)


def _near(wanted: int, most: int) -> Iterator[int]:
    """Whole numbers from the wanted one outwards, up to ten times more or less."""
    for distance in range(10 * wanted + 1):
        for samples in {wanted - distance, wanted + distance}:
            if max(1, wanted // 10) <= samples <= most:
                yield samples


def _is_exact(samples: Decimal, rate_hz: Decimal) -> bool:
    duration = samples / rate_hz
    text = f"{duration.normalize():f}"
    return len(text) <= _LONGEST_NUMBER and Decimal(text) * rate_hz == samples


def _annotations(
    record: EcgRecord, beats: BeatFindings | None, is_filled: bool
) -> Iterator[Annotation]:
    rate_hz = record.sampling_rate_hz
    if beats is not None:
        symbols = [SYMBOL_OF_LABEL[label] for label in beats.labels]
        yield from _marks(beats.sample.tolist(), symbols, rate_hz)
    elif record.annotations is not None:
        own = record.annotations
        yield from _marks(own.sample.tolist(), own.symbol, rate_hz)
    for start, stop in _gaps(record):
        yield round(start / rate_hz, 6), round((stop - start) / rate_hz, 6), MISSING
    if is_filled:
        yield round(record.n_samples / rate_hz, 6), None, END


def _marks(
    samples: list[int], symbols: Sequence[str], rate_hz: float
) -> Iterator[tuple[float, None, str]]:
    for sample, symbol in zip(samples, symbols, strict=True):
        yield round(sample / rate_hz, 6), None, symbol


def _gaps(record: EcgRecord) -> list[tuple[int, int]]:
    """Half-open stretches in which any lead has no sample; UnusableInput for too many to name."""
    edges: list[int] = []
    is_missing = False
    for start in range(0, record.n_samples, _PIECE_SAMPLES):
        piece = record.signal[:, start : start + _PIECE_SAMPLES]
        missing: NDArray[np.bool_] = np.any(np.isnan(piece), axis=0)
        edges += (start + np.flatnonzero(np.diff(missing, prepend=is_missing))).tolist()
        is_missing = bool(missing[-1])
        if len(edges) > 2 * MOST_GAPS:
            raise UnusableInput(f"samples are missing in over {MOST_GAPS:,} places: EDF names each")
    if is_missing:
        edges.append(record.n_samples)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _order(annotation: Annotation) -> tuple[float, float, str]:
    onset_s, length_s, text = annotation
    return onset_s, -1.0 if length_s is None else length_s, text


def _texts(annotations: Sequence[Annotation], n_records: int, duration_s: float) -> list[bytes]:
    """Of each data record: when it begins, and the annotations that begin in it."""
    starts = np.arange(n_records) * duration_s
    onsets = np.array([onset_s for onset_s, _, _ in annotations])
    home = np.searchsorted(starts + duration_s, onsets, side="right").clip(max=n_records - 1)
    texts = [[f"{_seconds(start, sign=True)}\x14\x14\0".encode()] for start in starts]
    for index, (onset_s, length_s, text) in zip(home.tolist(), annotations, strict=True):
        length = "" if length_s is None else f"\x15{_seconds(length_s)}"
        plain = re.sub(r"[\0-\x1f]", "?", text)
        texts[index].append(f"{_seconds(onset_s, sign=True)}{length}\x14{plain}\x14\0".encode())
    return [b"".join(parts) for parts in texts]


def _seconds(value: float, *, sign: bool = False) -> str:
    return np.format_float_positional(value, unique=True, trim="-", sign=sign)


def _width(texts: Sequence[bytes]) -> int:
    """Bytes that each data record has for its text, even, for a sample has two."""
    fullest = max(map(len, texts))
    width = fullest + fullest % 2
    if len(texts) * width > MOST_ANNOTATION_BYTES:
        raise UnusableInput(
            "EDF has as much room for annotations in every data record as in the fullest one, "
            f"here {width:,} bytes in each of {len(texts):,}: too much for a file"
        )
    return width


def _header(
    record: EcgRecord,
    lead_scales: Sequence[Scale],
    samples: tuple[int, int],
    n_records: int,
    duration_s: float,
) -> bytes:
    """samples: of a lead and of the annotations, in a data record."""
    n_leads, started = record.n_leads, record.start_time
    day = started.date() if started is not None and 1985 <= started.year <= 2084 else None
    in_words = f"{day:%d}-{_MONTHS[day.month - 1]}-{day.year}" if day else "X"
    highest = [scale.physical_max for scale in lead_scales]
    fields: list[tuple[int, Sequence[object]]] = [
        (8, [0]),
        (80, ["X X X X"]),
        (80, [f"Startdate {in_words} X X X"]),
        (8, [f"{day or _NO_DATE:%d.%m.%y}"]),
        (8, [f"{started:%H.%M.%S}" if started else "00.00.00"]),
        (8, [256 * (n_leads + 2)]),
        (44, ["EDF+C"]),
        (8, [n_records]),
        (8, [int(duration_s) if duration_s.is_integer() else duration_s]),
        (4, [n_leads + 1]),
        (16, [*map(_label, record.lead_names), "EDF Annotations"]),
        (80, [""] * (n_leads + 1)),  # transducers
        (8, [*(_ascii(unit, 8) for unit in record.units), ""]),
        (8, [*(-most for most in highest), -32768]),
        (8, [*highest, 32767]),
        (8, [-HIGHEST] * n_leads + [-32768]),
        (8, [HIGHEST] * n_leads + [32767]),
        (80, [""] * (n_leads + 1)),  # filters
        (8, [samples[0]] * n_leads + [samples[1]]),
        (32, [""] * (n_leads + 1)),
    ]
    text = "".join(f"{value:<{size}}" for size, values in fields for value in values)
    return text.encode("ascii")


def _label(name: str) -> str:
    """`ECG II`, as EDF wants it for leads with a name of their own."""
    typed = f"ECG {name}"
    return _ascii(typed if standard_name(typed) == name else name, 16)


def _ascii(text: str, length: int) -> str:
    return re.sub(r"[^ -~]", "?", text.replace("µ", "u"))[:length]
