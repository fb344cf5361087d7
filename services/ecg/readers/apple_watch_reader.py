"""The CSV that Apple Health exports for an ECG: a few lines about it, then one column."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np

from services.ecg.leads import distinct_names
from services.ecg.readers.base import Limits, ReadHints, SourceFile, check_extent, shown
from services.ecg.readers.csv_table import head_lines, n_rows_at_most, table_in, values_of
from services.ecg.readers.single_file import SingleFileReader
from services.ecg.readers.text_fields import decimal
from services.ecg.readers.units import millivolts_in
from services.ecg.record import EcgRecord
from services.errors import MalformedInput, TooLarge

MAX_BYTES = 8 * 1024 * 1024  # thirty seconds take 120 kB

_RATE = re.compile(r"([\d.,]+)\s*\D*")


class AppleWatchReader(SingleFileReader):
    """In the English of the export; the other lines, such as the name, are passed over."""

    accepted = "an ECG of an Apple Health export (.csv)"
    extensions = ()

    def fits(self, file: SourceFile) -> bool:
        """By the lines that say the rate and the lead."""
        fields = _fields(file)
        return {"sample rate", "lead", "unit"} <= fields.keys()

    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """One lead, usually I, in the unit that the file says."""
        name, fields = shown(file.plain_name), _fields(file)
        table = table_in(head_lines(file))
        if table is None or table.n_columns != 1:
            raise MalformedInput(f"{name}: expected one column of samples under its first lines")
        if file.n_bytes > MAX_BYTES:
            raise TooLarge(f"{name} has {file.n_bytes:,} bytes, at most {MAX_BYTES:,} are read")
        rate_text = _RATE.fullmatch(fields["sample rate"])
        rate_hz = decimal(rate_text[1] if rate_text else "", where=f"{name}, Sample Rate")
        factor = millivolts_in(fields["unit"])
        if factor is None:
            raise MalformedInput(f"{name}, Unit: expected uV, found '{shown(fields['unit'])}'")
        check_extent(
            file.plain_name,
            n_samples=n_rows_at_most(file, table),
            n_leads=1,
            sampling_rate_hz=rate_hz,
            limits=limits,
        )
        with np.errstate(over="ignore"):  # what overflows is found to be no ECG later
            signal = (values_of(file, table)[:, 0] * factor).astype(np.float32)
        return EcgRecord(
            signal=signal[None, :],
            lead_names=distinct_names([fields["lead"]]),
            sampling_rate_hz=rate_hz,
            format="apple-watch",
            start_time=_start_time(fields.get("recorded date", "")),
        )


def _fields(file: SourceFile) -> dict[str, str]:
    """The lines `Name,Value` before the samples, names in lower case."""
    found = {}
    for line in head_lines(file)[:40]:
        key, comma, value = line.partition(",")
        if comma and key.strip():
            found[key.strip().lower()] = value.strip().strip('"')
    return found


def _start_time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text[:19], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - local time
    except ValueError:
        return None
