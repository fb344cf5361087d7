"""JSON: leads with a rate and a unit, or a FHIR Observation with SampledData."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from services.ecg.readers.base import (
    Limits,
    ReadHints,
    SourceFile,
    check_extent,
    hinted_rate,
    shown,
)
from services.ecg.readers.fhir_sampled_data import observation_record
from services.ecg.readers.lead_columns import lead_columns
from services.ecg.readers.single_file import SingleFileReader
from services.ecg.record import EcgRecord, FloatArray
from services.errors import MalformedInput, UnusableInput

MAX_JSON_BYTES = 16 * 1024 * 1024  # as Python numbers they take twenty times that

_NUMBERS = frozenset({int, float, type(None)})
_RATE_FIELDS = ("sampling_rate", "sampling_rate_hz", "fs")


class JsonReader(SingleFileReader):
    """An object; FHIR where it says its resource type."""

    accepted = "JSON (sampling_rate, units, leads: an object with a list of samples a lead)"
    extensions = ("json",)

    def fits(self, file: SourceFile) -> bool:
        """An opening brace and a name, or a closing brace."""
        head = file.head(256).removeprefix(b"\xef\xbb\xbf").lstrip()
        return head[:1] == b"{" and head[1:].lstrip()[:1] in (b'"', b"}")

    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """MalformedInput names the position or the field."""
        import orjson  # loaded when there is JSON to read

        name = shown(file.plain_name)
        content = file.content(at_most_bytes=MAX_JSON_BYTES).removeprefix(b"\xef\xbb\xbf")
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise MalformedInput(
                f"{name}, line {error.lineno}, column {error.colno}: {shown(error.msg)}"
            ) from error
        if "resourceType" in body:
            return observation_record(file.plain_name, body, limits=limits)
        return _record(file.plain_name, body, limits, hints)


def _record(file_name: str, body: dict[str, Any], limits: Limits, hints: ReadHints) -> EcgRecord:
    name, leads = shown(file_name), body.get("leads")
    if not isinstance(leads, dict) or not leads:
        raise MalformedInput(
            f"{name}: expected `leads` as an object with a list of samples for each lead"
        )
    unit = body.get("units", body.get("unit"))
    if unit is not None and not isinstance(unit, str):
        raise MalformedInput(f"{name}: expected `units` as text, such as mV")
    rate_hz = _rate_hz(file_name, body, hints)
    lengths = {len(values) for values in leads.values() if isinstance(values, list)}
    check_extent(
        file_name,
        n_samples=max(lengths, default=0),
        n_leads=len(leads),
        sampling_rate_hz=rate_hz,
        limits=limits,
    )
    if len(lengths) > 1:
        raise MalformedInput(
            f"{name}: its leads have different numbers of samples ({min(lengths):,} to "
            f"{max(lengths):,})"
        )
    columns = lead_columns(file_name, list(leads), unit=unit, hints=hints)
    signal = np.stack([_samples(name, lead, values) for lead, values in leads.items()])
    return EcgRecord(
        signal=signal * np.array(columns.factors, dtype=np.float32)[:, None],
        lead_names=columns.names,
        sampling_rate_hz=rate_hz,
        units=columns.units,
        format="json",
        notes=columns.notes,
    )


def _rate_hz(file_name: str, body: dict[str, Any], hints: ReadHints) -> float:
    field = next((field for field in _RATE_FIELDS if field in body), None)
    if field is None:
        return hinted_rate(file_name, hints)
    rate_hz = body[field]
    if type(rate_hz) not in (int, float) or not math.isfinite(rate_hz):
        raise MalformedInput(f"{shown(file_name)}: expected `{field}` as a number of Hz")
    return float(rate_hz)


def _samples(name: str, lead: str, values: object) -> FloatArray:
    """A list of numbers; null is a missing sample."""
    if not isinstance(values, list):
        raise MalformedInput(f"{name}, leads.{shown(lead)}: expected a list of samples")
    if not set(map(type, values)) <= _NUMBERS:
        wrong = next(i for i, value in enumerate(values) if type(value) not in _NUMBERS)
        raise MalformedInput(
            f"{name}, leads.{shown(lead)}[{wrong}]: expected a number or null, "
            f"found {shown(repr(values[wrong]))}"
        )
    if not values:
        raise UnusableInput(f"{name}, leads.{shown(lead)}: there are no samples")
    with np.errstate(over="ignore"):  # what overflows is found to be no ECG later
        return np.array(values, dtype=np.float64).astype(np.float32)
