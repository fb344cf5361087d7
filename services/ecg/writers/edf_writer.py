"""A record as EDF+, with its beats as annotations."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal

import numpy as np

from services.ecg.annotation_files import SYMBOL_OF_LABEL
from services.ecg.leads import standard_name
from services.ecg.record import EcgRecord
from services.ecg.writers.counts import HIGHEST, scales
from services.ecg.writers.findings import BeatFindings
from services.errors import UnusableInput

MISSING = "missing samples"
END = "end of the recording"

_MOST_RECORD_BYTES = 61_440  # what EDF recommends for a data record
_LONGEST_NUMBER = 8


def edf_plus(record: EcgRecord, *, beats: BeatFindings | None = None) -> bytes:
    """EDF+C. Each beat is an annotation with its WFDB symbol: those of `beats`, or else the
    record's own. EDF knows no missing sample: it is 0, and an annotation says from when to when.

    Where no data record fits the length, the last one is filled up and an annotation marks the end.
    UnusableInput for what EDF cannot hold.
    """
    import edfio  # loaded when something is written

    per_record, duration_s = _data_records(record)
    filled = -record.n_samples % per_record
    signals = [
        edfio.EdfSignal.from_digital(
            np.pad(scale.counts(lead, missing=0), (0, filled), mode="edge"),
            record.sampling_rate_hz,
            label=_label(name),
            physical_dimension=_ascii(unit, 8),
            physical_range=(-scale.physical_max, scale.physical_max),
            digital_range=(-HIGHEST, HIGHEST),
        )
        for name, unit, lead, scale in zip(
            record.lead_names, record.units, record.signal, scales(record), strict=True
        )
    ]
    annotations = [
        edfio.EdfAnnotation(onset_s, length_s, text)
        for onset_s, length_s, text in _annotations(record, beats, filled > 0)
    ]
    started = record.start_time
    file = edfio.Edf(
        signals,
        recording=edfio.Recording(startdate=_date(record)),
        starttime=started.time().replace(microsecond=0) if started else time(0),
        data_record_duration=duration_s,
        annotations=annotations,
    )
    target = io.BytesIO()
    file.write(target)
    return target.getvalue()


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
) -> Iterator[tuple[float, float | None, str]]:
    """(onset in s, duration in s or None, text)."""
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
    samples: list[int], symbols: list[str] | tuple[str, ...], rate_hz: float
) -> Iterator[tuple[float, None, str]]:
    for sample, symbol in zip(samples, symbols, strict=True):
        yield round(sample / rate_hz, 6), None, symbol


def _gaps(record: EcgRecord) -> list[tuple[int, int]]:
    """Half-open stretches in which any lead has no sample."""
    missing = np.zeros(record.n_samples + 2, dtype=np.int8)
    for lead in record.signal:
        missing[1:-1] |= np.isnan(lead)
    edges = np.flatnonzero(np.diff(missing))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _date(record: EcgRecord) -> date | None:
    """EDF's years go from 1985 to 2084."""
    started = record.start_time
    return started.date() if started is not None and 1985 <= started.year <= 2084 else None


def _label(name: str) -> str:
    """`ECG II`, as EDF wants it for leads with a name of their own."""
    typed = f"ECG {name}"
    return _ascii(typed if standard_name(typed) == name else name, 16)


def _ascii(text: str, length: int) -> str:
    return re.sub(r"[^ -~]", "?", text.replace("µ", "u"))[:length]
