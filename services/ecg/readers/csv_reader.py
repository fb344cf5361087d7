"""CSV, one column a lead: which column is the time, which rate and units it means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.ecg.readers.base import (
    MIN_SAMPLING_RATE_HZ,
    Limits,
    ReadHints,
    SourceFile,
    check_extent,
    hinted_rate,
    shown,
)
from services.ecg.readers.csv_table import (
    MAX_COLUMNS,
    MAX_CSV_BYTES,
    Table,
    head_lines,
    n_rows_at_most,
    table_in,
    values_of,
)
from services.ecg.readers.lead_columns import lead_columns
from services.ecg.readers.signal_memory import empty_signal, finished
from services.ecg.readers.single_file import SingleFileReader
from services.ecg.record import EcgRecord, FloatArray
from services.errors import MalformedInput, TooLarge, UnusableInput

_TIME = re.compile(
    r"(?:elapsed[ _]?)?(?:time|t|timestamp|seconds?|sec|ms|milliseconds?)"
    r"[ _]*[\[(]?(s|sec|seconds?|ms|milliseconds?|us)?[\])]?",
    re.IGNORECASE,
)
_INDEX = re.compile(r"(?:sample|index|frame|n|nr|no)[ _]*(?:#|number|index|nr|no)?\.?|#|", re.I)
_ROUNDED_S = 1e-3  # how far off the last time may be because it was rounded


@dataclass(frozen=True)
class _Columns:
    """Where the leads are; time_s: how many seconds a step of the time column is, if there is one.

    skipped: columns that are no lead.
    """

    names: tuple[str, ...]
    named: bool
    skipped: tuple[int, ...] = ()
    time_column: int | None = None
    time_s: float = 1.0


class CsvReader(SingleFileReader):
    """Comma, semicolon or tab; with or without names, units behind the names, and a time column."""

    accepted = "CSV (one column a lead, names in the first row)"
    extensions = ("csv", "tsv")

    def fits(self, file: SourceFile) -> bool:
        """Rows of numbers near the start."""
        return table_in(head_lines(file)) is not None

    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """The rate comes from the time column, or from the request."""
        table = table_in(head_lines(file))
        if table is None:
            raise MalformedInput(f"{shown(file.plain_name)}: there are no rows of numbers in it")
        _check_size(file, table, limits)
        values = values_of(file, table)
        columns = _columns(table, values)
        rate_hz = _rate_hz(file, columns, values, hints)
        units = lead_columns(
            file.plain_name,
            columns.names,
            unit=_unit_row(table),
            hints=hints,
            named=columns.named,
        )
        check_extent(
            file.plain_name,
            n_samples=len(values),
            n_leads=len(columns.names),
            sampling_rate_hz=rate_hz,
            limits=limits,
        )
        kept = [i for i in range(table.n_columns) if i not in columns.skipped]
        return EcgRecord(
            signal=_signal(values, kept, units.factors, workspace),
            lead_names=units.names,
            sampling_rate_hz=rate_hz,
            units=units.units,
            format="csv",
            notes=units.notes,
        )


def _check_size(file: SourceFile, table: Table, limits: Limits) -> None:
    name = shown(file.plain_name)
    if file.n_bytes > MAX_CSV_BYTES:
        raise TooLarge(f"{name} has {file.n_bytes:,} bytes, at most {MAX_CSV_BYTES:,} are read")
    n_values = n_rows_at_most(file, table) * table.n_columns
    if table.n_columns > MAX_COLUMNS or n_values > 2 * limits.max_values:
        raise TooLarge(
            f"{name} holds {n_values:,} numbers in {table.n_columns:,} columns, at most "
            f"{limits.max_values:,} values in {limits.max_leads} leads are read of a record"
        )


def _names(table: Table) -> tuple[str, ...] | None:
    """The last row with a cell for each column, before the units if they have a row."""
    rows = [row for row in table.header if len(row) == table.n_columns]
    if not rows:
        return None
    return rows[-2] if len(rows) > 1 and _unit_row(table) is not None else rows[-1]


def _unit_row(table: Table) -> str | None:
    """The unit in a row of units under the names, where the leads share one (`mV`)."""
    if len(table.header) < 2 or len(table.header[-1]) != table.n_columns:
        return None
    units = {cell.strip("()[] '\"") for cell in table.header[-1][-(table.n_columns - 1 or 1) :]}
    return units.pop() if units <= {"mV", "uV", "V", "µV"} and len(units) == 1 else None


def _columns(table: Table, values: NDArray[np.float64]) -> _Columns:
    names = _names(table)
    if names is None:
        return _unnamed_columns(table, values)
    skipped: list[int] = []
    time_column, time_s = None, 1.0
    for column, name in enumerate(names):
        found = _TIME.fullmatch(name.strip())
        if found and time_column is None:
            time_column, time_s = column, _seconds_in(found[1] or name)
            skipped.append(column)
        elif _INDEX.fullmatch(name.strip()) and column == 0:
            skipped.append(column)
    leads = tuple(name for column, name in enumerate(names) if column not in skipped)
    return _Columns(leads, True, tuple(skipped), time_column, time_s)


def _unnamed_columns(table: Table, values: NDArray[np.float64]) -> _Columns:
    """A first column that rises by the same step throughout is a time, or counts the samples."""
    first = values[: min(len(values), 1000), 0]
    steps = np.diff(first)
    is_ramp = table.n_columns > 1 and len(steps) > 8 and bool(np.all(steps > 0))
    if is_ramp and float(np.ptp(steps)) <= 0.5 * float(np.mean(steps)):
        leads = ("",) * (table.n_columns - 1)
        counts = float(np.mean(steps)) > 1.0 / MIN_SAMPLING_RATE_HZ
        return _Columns(leads, False, (0,), None if counts else 0)
    return _Columns(("",) * table.n_columns, False)


def _seconds_in(unit: str) -> float:
    text = unit.lower()
    if text.startswith(("ms", "milli")):
        return 1e-3
    return 1e-6 if text == "us" else 1.0


def _rate_hz(
    file: SourceFile, columns: _Columns, values: NDArray[np.float64], hints: ReadHints
) -> float:
    if not columns.names:
        raise UnusableInput(f"{shown(file.plain_name)} has no column but the time")
    if columns.time_column is None:
        return hinted_rate(file.plain_name, hints)
    return _rate_of(file.plain_name, values[:, columns.time_column] * columns.time_s)


def _rate_of(file_name: str, time_s: NDArray[np.float64]) -> float:
    """The rate that a time column means, to a whole number of Hz where rounding allows it."""
    name = shown(file_name)
    span_s = float(time_s[-1] - time_s[0]) if len(time_s) > 1 else 0.0
    if not 0 < span_s < np.inf:
        raise MalformedInput(f"{name}: its time column does not rise")
    rate_hz = (len(time_s) - 1) / span_s
    expected_s = time_s[0] + np.arange(len(time_s)) / rate_hz
    with np.errstate(over="ignore", invalid="ignore"):
        is_placed = np.abs(time_s - expected_s) * rate_hz < 0.5  # False for NaN
        is_placed[1:] &= np.diff(time_s) * rate_hz < 1.5  # a row that is missing
    if not np.all(is_placed):
        row = int(np.argmin(is_placed))
        raise UnusableInput(
            f"{name}: its time column is not evenly spaced: row {row + 1} has "
            f"{time_s[row]:.6g} s, {expected_s[row]:.6g} s is expected"
        )
    nearest = round(rate_hz)
    return float(nearest) if abs(rate_hz - nearest) <= rate_hz * _ROUNDED_S / span_s else rate_hz


def _signal(
    values: NDArray[np.float64], kept: list[int], factors: tuple[float, ...], workspace: Path
) -> FloatArray:
    signal = empty_signal(len(kept), len(values), workspace)
    with np.errstate(over="ignore"):  # what overflows is found to be no ECG later
        for lead, (column, factor) in enumerate(zip(kept, factors, strict=True)):
            signal[lead] = values[:, column] * factor
    return finished(signal)
