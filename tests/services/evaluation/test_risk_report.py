"""The report of risks, on answers that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from services.evaluation.report_parts import BASE, NEW, Compared, worse_than
from services.evaluation.risk_report import RiskTested, risk_report

MODELS = [Compared(NEW, "risk@2"), Compared(BASE, "risk@1")]


def answered(n: int = 200, *, noise: tuple[float, float] = (0.2, 0.2)) -> list[RiskTested]:
    """Two records a patient; the models' risks with so much noise each."""
    generator = np.random.default_rng(1)
    records = []
    for i in range(n):
        label = int(generator.random() < 0.3)
        risks = [float(np.clip(0.3 + 0.3 * label + generator.normal(0, s), 0, 1)) for s in noise]
        records.append(RiskTested(f"rec_{i}", str(i), f"p{i // 2}", label, tuple(risks)))
    return records


def test_figures_of_each_model_with_intervals() -> None:
    records = answered()
    report = risk_report(MODELS, records, thresholds=[0.42, 0.5])
    label = [r.label for r in records]
    for n, model in enumerate(report["models"]):
        expected = roc_auc_score(label, [r.risks[n] for r in records])
        assert model["auroc"]["value"] == pytest.approx(expected)
        assert model["auroc"]["low"] < expected < model["auroc"]["high"]
    assert (report["records"], report["patients"], report["events"]) == (200, 100, sum(label))
    first = report["models"][0]
    assert first["threshold"] == 0.42
    assert 0.42 in [row["threshold"] for row in first["thresholds"]]
    assert sum(row["records"] for row in first["calibration"]) == 200
    assert first["roc"][0] == [0, 0]
    assert first["roc"][-1] == [1, 1]


def test_the_threshold_table_has_intervals_by_patient() -> None:
    records = answered()
    rows = risk_report(MODELS, records, thresholds=[0.42, 0.5])["models"][0]["thresholds"]
    row = next(row for row in rows if row["threshold"] == 0.42)
    events = [record for record in records if record.label]
    found = sum(record.risks[0] >= 0.42 for record in events)
    assert row["sensitivity"] == pytest.approx(found / len(events))
    assert row["flagged"] == sum(record.risks[0] >= 0.42 for record in records)
    names = ("sensitivity", "specificity", "positive_predictivity", "negative_predictivity")
    for name in names:
        low, high = (row["intervals"][name][end] for end in ("low", "high"))
        assert low < row[name] < high
        assert high - low < 0.3
    four_times = [record for record in records for _ in range(4)]
    again = risk_report(MODELS, four_times, thresholds=[0.42, 0.5])["models"][0]["thresholds"]
    copied = next(each for each in again if each["threshold"] == 0.42)
    assert copied["intervals"] == row["intervals"]  # copies of a patient's records add nothing


def test_patients_are_drawn_with_all_their_records() -> None:
    records = answered(100)
    once = risk_report(MODELS, records)["models"][0]["auroc"]
    four_times = [r for r in records for _ in range(4)]
    again = risk_report(MODELS, four_times)["models"][0]["auroc"]
    assert again == pytest.approx(once)  # copies of a patient's records add nothing


def test_a_worse_ranking_is_worse_and_a_like_one_is_not() -> None:
    worse = risk_report(MODELS, answered(noise=(0.9, 0.05)))
    assert worse_than(worse, "risk@1") is not None
    assert worse_than(risk_report(MODELS, answered()), "risk@1") is None


def test_nothing_but_one_label_gives_null_and_a_caution() -> None:
    records = [RiskTested(str(i), str(i), str(i), 0, (0.1, 0.2)) for i in range(5)]
    report = json.loads(json.dumps(risk_report(MODELS, records), allow_nan=False))
    assert report["models"][0]["auroc"] == {"value": None, "low": None, "high": None}
    assert report["models"][0]["brier"]["value"] == pytest.approx(0.01)
    assert (
        "no tested record with the event: nothing can be said of the ranking" in report["cautions"]
    )
