"""FHIR Observations whose components hold an ECG as SampledData (R4; R5's interval too).

https://hl7.org/fhir/R4/datatypes.html#SampledData and .../observation-example-sample-data.html
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.leads import STANDARD_12, distinct_names
from services.ecg.readers.base import Limits, check_extent, shown
from services.ecg.readers.units import channel_unit, millivolts_in
from services.ecg.record import EcgRecord
from services.errors import MalformedInput, UnusableInput

MDC_SYSTEM = "urn:oid:2.16.840.1.113883.6.24"

# MDC_ECG_ELEC_POTL_* of ISO/IEEE 11073-10102
LEAD_OF_CODE = MappingProxyType(
    {"131329": "I", "131330": "II", "131389": "III"}
    | {"131390": "aVR", "131391": "aVL", "131392": "aVF"}
    | {str(131330 + i): f"V{i}" for i in range(1, 7)}
)
CODE_OF_LEAD = MappingProxyType({lead: code for code, lead in LEAD_OF_CODE.items()})

_SECONDS = MappingProxyType({"s": 1.0, "ms": 1e-3, "us": 1e-6})
_POTENTIAL = "MDC_ECG_ELEC_POTL_"
_MISSING = re.compile(r"(?<!\S)[EUL](?!\S)")


def observation_record(file_name: str, body: dict[str, Any], *, limits: Limits) -> EcgRecord:
    """The leads of an Observation; MalformedInput or UnusableInput with the element."""
    name = shown(file_name)
    if body.get("resourceType") != "Observation":
        raise UnusableInput(
            f"{name}: a FHIR {shown(str(body.get('resourceType')))}; an Observation is read"
        )
    parts = _sampled_parts(name, body)
    rates = {_rate_hz(where, data) for where, _, data in parts}
    lengths = {where: str(data.get("data", "")).count(" ") + 1 for where, _, data in parts}
    if len(rates) > 1:
        raise UnusableInput(f"{name}: its leads have different sampling rates")
    check_extent(
        file_name,
        n_samples=max(lengths.values()),
        n_leads=len(parts),
        sampling_rate_hz=min(rates),
        limits=limits,
    )
    names = [_lead_name(part, number) for number, (_, part, _) in enumerate(parts, start=1)]
    leads = [_samples(where, data) for where, _, data in parts]
    if len({len(lead) for lead in leads}) > 1:
        raise MalformedInput(f"{name}: its leads have different numbers of samples")
    units = [
        channel_unit(lead, _unit(where, data))
        for lead, (where, _, data) in zip(names, parts, strict=True)
    ]
    factors = np.array([factor for _, factor in units], dtype=np.float64)
    with np.errstate(over="ignore"):  # what overflows is found to be no ECG later
        signal = (np.stack(leads) * factors[:, None]).astype(np.float32)
    return EcgRecord(
        signal=signal,
        lead_names=distinct_names(names),
        sampling_rate_hz=min(rates),
        units=tuple(unit for unit, _ in units),
        format="fhir",
        start_time=_start_time(body),
    )


def _sampled_parts(
    name: str, body: dict[str, Any]
) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(where, component or the Observation itself, its SampledData), one a lead."""
    components = body.get("component", [])
    if not isinstance(components, list):
        raise MalformedInput(f"{name}, component: expected a list")
    candidates = [("Observation", body)]
    candidates += [(f"component[{i}]", part) for i, part in enumerate(components)]
    found = [
        (f"{name}, {where}.valueSampledData", part, part["valueSampledData"])
        for where, part in candidates
        if isinstance(part, dict) and isinstance(part.get("valueSampledData"), dict)
    ]
    if not found:
        raise UnusableInput(f"{name}: an Observation without a valueSampledData")
    return found


def _number(where: str, value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise MalformedInput(f"{where}: expected a number, found {shown(repr(value))}")
    return float(value)  # type: ignore[arg-type]


def _rate_hz(where: str, data: dict[str, Any]) -> float:
    """From `period` in ms (R4) or `interval` in `intervalUnit` (R5)."""
    if data.get("dimensions", 1) != 1:
        raise UnusableInput(f"{where}: SampledData of more than one dimension")
    unit = data.get("intervalUnit", "ms")
    field = "period" if "period" in data else "interval"
    step = _number(f"{where}.{field}", data.get(field))
    if step <= 0 or not isinstance(unit, str) or unit not in _SECONDS:
        raise MalformedInput(
            f"{where}.{field}: {step:g} {shown(str(unit))} is no sampling interval"
        )
    return 1.0 / (step * _SECONDS[unit])


def _samples(where: str, data: dict[str, Any]) -> NDArray[np.float64]:
    """(n,) in the unit of the origin; E, U and L (error, above, below) are missing samples."""
    text = data.get("data")
    if not isinstance(text, str) or not text.strip():
        raise MalformedInput(f"{where}.data: expected numbers with a space between them")
    zero = _number(f"{where}.origin.value", _origin(data).get("value", 0))
    factor = _number(f"{where}.factor", data.get("factor", 1))
    try:
        values = np.array(_MISSING.sub("nan", text).split(), dtype=np.float64)
    except ValueError as error:
        raise MalformedInput(f"{where}.data: a sample is not a number") from error
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: NDArray[np.float64] = values * factor + zero
    return scaled


def _origin(data: dict[str, Any]) -> dict[str, Any]:
    origin = data.get("origin")
    return origin if isinstance(origin, dict) else {}


def _unit(where: str, data: dict[str, Any]) -> str:
    for field in ("code", "unit"):
        if isinstance(unit := _origin(data).get(field), str) and millivolts_in(unit) is not None:
            return unit
    raise UnusableInput(f"{where}.origin: expected a unit of voltage, such as mV")


def _lead_name(part: dict[str, Any], number: int) -> str:
    """From the code, its display or its text; a number where none of them is a lead."""
    code = part.get("code")
    codings = code.get("coding", []) if isinstance(code, dict) else []
    for coding in codings if isinstance(codings, list) else []:
        if not isinstance(coding, dict):
            continue
        if (known := LEAD_OF_CODE.get(str(coding.get("code")))) is not None:
            return known
        if (display := str(coding.get("display", ""))).startswith(_POTENTIAL):
            return display.removeprefix(_POTENTIAL)
    text = code.get("text") if isinstance(code, dict) else None
    lead = distinct_names([text])[0] if isinstance(text, str) else ""
    return lead if lead in STANDARD_12 else f"lead {number}"


def _start_time(body: dict[str, Any]) -> datetime | None:
    period = body.get("effectivePeriod")
    start = period.get("start") if isinstance(period, dict) else body.get("effectiveDateTime")
    try:
        return datetime.fromisoformat(start).replace(tzinfo=None)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
