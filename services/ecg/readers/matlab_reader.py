"""MATLAB files: which of their arrays is the ECG, and what says its rate, unit and leads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.readers.base import (
    Limits,
    ReadHints,
    SourceFile,
    check_extent,
    hinted_rate,
    listed,
    needed,
    shown,
)
from services.ecg.readers.lead_columns import lead_columns
from services.ecg.readers.matlab_file import (
    HDF5_MAGIC,
    Value,
    is_level_4,
    is_level_5,
    matlab_values,
)
from services.ecg.readers.single_file import SingleFileReader
from services.ecg.record import EcgRecord
from services.errors import UnusableInput

MAX_MATLAB_BYTES = 256 * 1024 * 1024

_SIGNAL_NAMES = ("val", "data", "ecg", "signal", "signals", "ecgdata", "ecg_data")
_RATE_NAMES = (
    "fs",
    "sampling_rate",
    "sampling_rate_hz",
    "samplerate",
    "freq",
    "frequency",
    "sfreq",
)
_UNIT_NAMES = ("units", "unit")
_LEAD_NAMES = ("leads", "lead_names", "leadnames", "channels", "sig_name")


class MatlabReader(SingleFileReader):
    """A matrix, or a structure with one: `data`, `val` or the like, leads by samples."""

    accepted = "MATLAB (.mat up to version 7: a matrix or a struct with one)"
    extensions = ("mat",)

    def fits(self, file: SourceFile) -> bool:
        """By the header of one of its versions."""
        head = file.head(520)
        return (
            is_level_5(head[:128])
            or head.startswith((HDF5_MAGIC, b"MATLAB 7.3 MAT-file"))
            or (file.extension == "mat" and is_level_4(head))
        )

    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """The rate, the unit and the leads are those of the file, or else of the request."""
        content = file.content(at_most_bytes=MAX_MATLAB_BYTES)
        fields = dict(_fields(matlab_values(file.plain_name, content)))
        array = _signal_array(file, fields)
        rate_hz = _scalar(fields, _RATE_NAMES) or hinted_rate(file.plain_name, hints)
        unit, leads = _text(fields, _UNIT_NAMES), _texts(fields, len(array))
        if unit is None and hints.units is None and array.dtype.kind in "iu":
            raise needed(
                "units",
                f"{shown(file.plain_name)} holds whole numbers and no unit: send units, or the "
                ".hea header that belongs to it",
            )
        check_extent(
            file.plain_name,
            n_samples=array.shape[1],
            n_leads=array.shape[0],
            sampling_rate_hz=rate_hz,
            limits=limits,
        )
        columns = lead_columns(
            file.plain_name,
            leads or ("",) * len(array),
            unit=unit,
            hints=hints,
            named=leads is not None,
        )
        with np.errstate(over="ignore"):  # what overflows is found to be no ECG later
            signal = array * np.array(columns.factors)[:, None]
            signal = np.ascontiguousarray(signal, dtype=np.float32)
        return EcgRecord(
            signal=signal,
            lead_names=columns.names,
            sampling_rate_hz=rate_hz,
            units=columns.units,
            format="matlab",
            notes=columns.notes,
        )


def _fields(values: dict[str, Value]) -> Iterator[tuple[str, Value]]:
    """Variables and the fields of structures, by name in lower case."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _fields(value)
        else:
            yield name.lower(), value


def _signal_array(file: SourceFile, fields: dict[str, Value]) -> NDArray[Any]:
    """(leads, samples): the array that is called like a signal, or the only large one."""
    tables = {
        name: value
        for name, value in fields.items()
        if isinstance(value, np.ndarray) and value.ndim == 2 and value.size > 1
    }
    named = [tables[name] for name in _SIGNAL_NAMES if name in tables]
    large = [value for value in tables.values() if max(value.shape) >= 100]
    if not named and len(large) != 1:
        raise UnusableInput(
            f"{shown(file.plain_name)}: none of its variables ({listed(sorted(fields))}) is called "
            f"{', '.join(_SIGNAL_NAMES[:4])} or is the only large matrix"
        )
    array = named[0] if named else large[0]
    return array if array.shape[0] <= array.shape[1] else array.T


def _scalar(fields: dict[str, Value], names: tuple[str, ...]) -> float | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, np.ndarray) and value.size == 1:
            return float(value.reshape(-1)[0])
    return None


def _text(fields: dict[str, Value], names: tuple[str, ...]) -> str | None:
    found = (fields.get(name) for name in names)
    return next((value for value in found if isinstance(value, str)), None)


def _texts(fields: dict[str, Value], n_leads: int) -> tuple[str, ...] | None:
    """A list of lead names, if there is one of the right length."""
    for name in _LEAD_NAMES:
        value = fields.get(name)
        if isinstance(value, list) and len(value) == n_leads:
            names = tuple(text for text in value if isinstance(text, str))
            if len(names) == n_leads:
                return names
    return None
