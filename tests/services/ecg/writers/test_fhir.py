"""FHIR: valid by the classes of a library for R4, preliminary, and the numbers of the findings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.riskassessment import RiskAssessment

from services.ecg.writers.fhir import fhir_bundle
from tests.services.ecg.writers.findings_made import made_beats, made_record, made_risk

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)


def bundle(**findings: Any) -> list[dict[str, Any]]:
    record = made_record()
    content = fhir_bundle(record, issued_at=NOW, **findings)
    Bundle.model_validate_json(content)
    return [entry["resource"] for entry in json.loads(content).get("entry", [])]


def test_beats_and_heart_rate_are_observations() -> None:
    record = made_record()
    classes, rate = bundle(beats=made_beats(record))
    for resource in (classes, rate):
        Observation.model_validate(resource)
        assert resource["status"] == "preliminary"
        assert resource["effectiveDateTime"] == "2026-03-02"
    counts = {
        c["code"]["coding"][0]["code"]: c["valueQuantity"]["value"] for c in classes["component"]
    }
    assert counts == {"N": 5, "S": 5, "V": 5, "F": 5, "Q": 5}
    assert rate["code"]["coding"][0]["code"] == "8867-4"
    assert rate["valueQuantity"]["value"] == 75.0


@pytest.mark.parametrize(("risk", "label"), [(0.23, "high"), (0.1, "low")])
def test_a_risk_is_a_risk_assessment(risk: float, label: str) -> None:
    (resource,) = bundle(risk=made_risk(risk), patient_id="p7")
    RiskAssessment.model_validate(resource)
    assert resource["status"] == "preliminary"
    assert resource["subject"] == {"identifier": {"value": "p7"}}
    (prediction,) = resource["prediction"]
    assert prediction["probabilityDecimal"] == risk
    assert prediction["qualitativeRisk"]["coding"][0]["code"] == label
    assert prediction["rationale"] == "not calibrated; high from 0.2 on"
    assert resource["method"]["text"] == "Computed by the model deepecg@1"


def test_everything_says_that_it_is_for_research() -> None:
    record = made_record()
    for resource in bundle(beats=made_beats(record), risk=made_risk()):
        assert resource["note"][0]["text"] == "Research use only. Not a medical device."


def test_the_classes_do_refuse_what_is_not_fhir() -> None:
    (resource,) = bundle(risk=made_risk())
    for wrong in ({"status": None}, {"prediction": [{"probabilityDecimal": "much"}]}):
        with pytest.raises(ValueError, match="validation error"):
            RiskAssessment.model_validate(resource | wrong)


def test_one_beat_has_no_heart_rate() -> None:
    beats = made_beats(made_record(n_samples=200))
    assert len(bundle(beats=beats)) == 1
