"""Findings as FHIR R4 resources: Observations for beats and heart rate, a RiskAssessment for AFIB.

Everything is `preliminary`: no person has looked at it. https://hl7.org/fhir/R4/
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from services.ecg.record import EcgRecord
from services.ecg.writers.findings import RESEARCH_USE, BeatFindings, RiskFinding, distinct

STATUS = "preliminary"

_LOINC, _UCUM = "http://loinc.org", "http://unitsofmeasure.org"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_HEART_RATE = "8867-4"
_NAMESPACE = uuid.UUID("0d3f5f0e-0d0c-5d3f-9a55-5f3f6f0a8e11")  # of ids made here, any will do
_CLASS_TEXT = MappingProxyType(
    {"N": "normal or bundle branch block", "S": "supraventricular ectopic"}
    | {"V": "ventricular ectopic", "F": "fusion", "Q": "paced or unclassifiable"}
)
_RISK_TEXT = "Atrial fibrillation within five years"
_LEVELS = MappingProxyType({"high": "High likelihood", "low": "Low likelihood"})


def fhir_bundle(
    record: EcgRecord,
    *,
    issued_at: datetime,
    beats: BeatFindings | None = None,
    risk: RiskFinding | None = None,
    patient_id: str | None = None,
) -> bytes:
    """A Bundle (`collection`) as JSON. issued_at: with a time zone."""
    import orjson  # loaded when something is written

    resources: list[dict[str, Any]] = []
    if beats is not None:
        resources += beat_observations(record, beats, issued_at=issued_at, patient_id=patient_id)
    if risk is not None:
        resources.append(risk_assessment(record, risk, issued_at=issued_at, patient_id=patient_id))
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": _instant(issued_at),
        "entry": [{"fullUrl": _url(record, issued_at, r), "resource": r} for r in resources],
    }
    return orjson.dumps(bundle, option=orjson.OPT_INDENT_2)


def beat_observations(
    record: EcgRecord, beats: BeatFindings, *, issued_at: datetime, patient_id: str | None = None
) -> list[dict[str, Any]]:
    """One Observation with the number of beats of each class, and one with the mean heart rate."""
    classes = {
        "code": {"text": "ECG beats by class"},
        "component": [
            {
                "code": {"coding": [_class_coding(name)], "text": _class_text(name)},
                "valueQuantity": _quantity(count, "beats", "{beats}"),
            }
            for name, count in beats.counts().items()
        ],
    }
    found = [classes]
    rate_bpm = beats.mean_heart_rate_bpm(record.sampling_rate_hz)
    if rate_bpm is not None:
        found.append(
            {
                "code": {
                    "coding": [_coding(_LOINC, _HEART_RATE, "Heart rate")],
                    "text": "Mean heart rate",
                },
                "valueQuantity": _quantity(round(rate_bpm, 1), "beats/minute", "/min"),
            }
        )
    category = {"coding": [_coding(_CATEGORY, "procedure", "Procedure")]}
    shared = {
        "resourceType": "Observation",
        "status": STATUS,
        "category": [category],
        "subject": _subject(patient_id),
        "issued": _instant(issued_at),
        "method": _method(beats.model),
        "device": {"display": beats.model},
        "note": _notes(record, (*beats.notes, f"leads read: {', '.join(beats.leads_used)}")),
        **_effective(record),
    }
    return [shared | observation for observation in found]


def risk_assessment(
    record: EcgRecord, risk: RiskFinding, *, issued_at: datetime, patient_id: str | None = None
) -> dict[str, Any]:
    """A RiskAssessment of atrial fibrillation within five years."""
    system = "http://terminology.hl7.org/CodeSystem/risk-probability"
    level = {"coding": [_coding(system, risk.label, _LEVELS[risk.label])], "text": risk.label}
    kind = "calibrated" if risk.is_calibrated else "not calibrated"
    return {
        "resourceType": "RiskAssessment",
        "status": STATUS,
        "method": _method(risk.model),
        "code": {"text": _RISK_TEXT},
        "subject": _subject(patient_id),
        "occurrenceDateTime": _instant(issued_at),
        "performer": {"display": risk.model},
        "prediction": [
            {
                "outcome": {"text": _RISK_TEXT},
                "probabilityDecimal": round(risk.risk, 6),
                "qualitativeRisk": level,
                "whenRange": {"high": _quantity(5, "years", "a")},
                "rationale": f"{kind}; high from {risk.threshold:g} on",
            }
        ],
        "note": _notes(record, risk.notes),
    }


def _url(record: EcgRecord, issued_at: datetime, resource: dict[str, Any]) -> str:
    text = f"{record.name}|{issued_at.isoformat()}|{resource['code']['text']}"
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, text)}"


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}


def _class_coding(name: str) -> dict[str, str]:
    return {"code": name, "display": _class_text(name)}


def _class_text(name: str) -> str:
    return _CLASS_TEXT.get(name, name)


def _quantity(value: float, unit: str, code: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": _UCUM, "code": code}


def _subject(patient_id: str | None) -> dict[str, Any]:
    return {"identifier": {"value": patient_id}} if patient_id else {"display": "not named"}


def _method(model: str) -> dict[str, str]:
    return {"text": f"Computed by the model {model}"}


def _notes(record: EcgRecord, notes: tuple[str, ...]) -> list[dict[str, str]]:
    shown = f"record {record.name}" if record.name else "a record without a name"
    return [{"text": text} for text in distinct([RESEARCH_USE, shown, *notes, *record.notes])]


def _effective(record: EcgRecord) -> dict[str, str]:
    """When the ECG was recorded, to the day: files do not say their time zone."""
    return {"effectiveDateTime": f"{record.start_time:%Y-%m-%d}"} if record.start_time else {}


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
