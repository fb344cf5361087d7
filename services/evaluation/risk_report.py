"""The report of risks: several models beside each other on the same test patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import IntArray
from services.evaluation import risk as figures
from services.evaluation.bootstrap import DRAWS, SEED, Sampled, drawn_patients, plain
from services.evaluation.report_parts import Compared, common_cautions, differences, model_json

AUROC = "auroc"
FEW_EVENTS = 20
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ROC_POINTS = 200
DRAWS_AT_ONCE = 250  # of bootstrap samples, so that memory stays bounded

_FIGURES = {
    AUROC: figures.auroc,
    "auprc": figures.auprc,
    "brier": figures.brier,
    "calibration_error": figures.calibration_error,
}

# of the true and false positives, true and false negatives: what is right, and what is not
_SHARES = {
    "sensitivity": (0, 3),
    "specificity": (2, 1),
    "positive_predictivity": (0, 1),
    "negative_predictivity": (2, 3),
}


@dataclass(frozen=True)
class RiskTested:
    """One record: whether the event came, and each model's risk of it.

    label: 0 or 1. risks: (n_models,) in the order of the report's models.
    """

    record_id: str
    name: str
    patient: str
    label: int
    risks: tuple[float, ...]


def risk_report(
    models: Sequence[Compared],
    tested: Sequence[RiskTested],
    *,
    thresholds: Sequence[float] = (),
    draws: int = DRAWS,
    seed: int = SEED,
) -> dict[str, Any]:
    """Everything about the risks of the tested records, JSON-ready.

    thresholds: of each model, from which on its answer is `high`; in the table beside round ones.
    Raises ValueError without any record.
    """
    if not tested:
        raise ValueError("a report needs at least one tested record")
    ids = [record.record_id for record in tested]
    patients = [record.patient for record in tested]
    label = np.array([record.label for record in tested], dtype=np.int64)
    times, member = drawn_patients(patients, draws=draws, seed=seed)
    risks = np.array([record.risks for record in tested], dtype=np.float64).T
    sampled = [_sampled(label, risk, times, member) for risk in risks]
    own = thresholds or [float("nan")] * len(models)
    rows = zip(models, risks, sampled, own, strict=True)
    return {
        "task": "afib-5y",
        "records": len(tested),
        "patients": len(set(patients)),
        "events": int(label.sum()),
        "models": [
            model_json(model, ids)
            | {name: figure.as_json() for name, figure in each.items()}
            | _curves(label, risk)
            | {
                "threshold": plain(threshold),
                "thresholds": _thresholds(label, risk, threshold, times[:, member]),
            }
            for model, risk, each, threshold in rows
        ],
        "differences": [
            *differences(models, [each[AUROC] for each in sampled], figure=AUROC),
            *differences(
                models, [each["brier"] for each in sampled], figure="brier", larger_is_better=False
            ),
        ],
        "cautions": [*common_cautions(models, ids, patients), *_event_cautions(label)],
        "bootstrap": {"draws": draws, "seed": seed, "by": "patient", "level": 0.95},
    }


def _sampled(
    label: IntArray, risk: NDArray[np.float64], times: IntArray, member: IntArray
) -> dict[str, Sampled]:
    """Each figure over all records, and over each sample of the patients."""
    once = np.ones(len(label))
    found = {}
    for name, function in _FIGURES.items():
        drawn = [
            function(label, risk, times[at : at + DRAWS_AT_ONCE, member].astype(np.float64))
            for at in range(0, len(times), DRAWS_AT_ONCE)
        ]
        found[name] = Sampled(float(function(label, risk, once)), np.concatenate(drawn))
    return found


def _curves(label: IntArray, risk: NDArray[np.float64]) -> dict[str, Any]:
    roc = figures.roc_curve(label, risk)
    step = np.unique(np.linspace(0, len(roc) - 1, ROC_POINTS).round().astype(np.int64))
    return {
        "roc": np.round(roc[step], 6).tolist(),
        "calibration": _calibration(label, risk),
    }


def _thresholds(
    label: IntArray, risk: NDArray[np.float64], own: float, times: IntArray
) -> list[dict[str, Any]]:
    """What is flagged from each threshold on, and how well. times: (n_draws, n_records)."""
    asked = np.array(sorted({*THRESHOLDS, *([own] if np.isfinite(own) else [])}))
    cells = figures.operating_points(label, risk, asked)
    drawn = np.concatenate(
        [
            figures.drawn_operating_points(
                label, risk, asked, times[at : at + DRAWS_AT_ONCE].astype(np.float64)
            )
            for at in range(0, len(times), DRAWS_AT_ONCE)
        ]
    )
    return [
        _threshold_row(float(value), cells[place], drawn[:, place])
        for place, value in enumerate(asked)
    ]


def _calibration(label: IntArray, risk: NDArray[np.float64]) -> list[dict[str, Any]]:
    """By bins of like risk: what was said, and what came."""
    group = figures.calibration_bins(risk)
    rows = []
    for number in np.unique(group).tolist():
        inside = group == number
        n, events = int(inside.sum()), int(label[inside].sum())
        low, high = figures.wilson(events, n)
        rows.append(
            {
                "records": n,
                "mean_risk": float(risk[inside].mean()),
                "observed": events / n,
                "low": plain(low),
                "high": plain(high),
            }
        )
    return rows


def _threshold_row(threshold: float, cells: IntArray, drawn: NDArray[np.float64]) -> dict[str, Any]:
    """cells: (4,), drawn: (n_draws, 4), both as figures.operating_points gives them."""
    shares = {name: _share(cells[part], cells[rest]) for name, (part, rest) in _SHARES.items()}
    intervals = {}
    for name, (part, rest) in _SHARES.items():
        found = Sampled(float(shares[name]), _share(drawn[:, part], drawn[:, rest])).as_json()
        intervals[name] = {"low": found["low"], "high": found["high"]}
    return {
        "threshold": threshold,
        "flagged": int(cells[0] + cells[1]),
        **{name: plain(float(share)) for name, share in shares.items()},
        "intervals": intervals,
    }


def _share(part: Any, rest: Any) -> Any:
    """Of part and rest together; NaN where there is nothing."""
    with np.errstate(invalid="ignore"):
        return np.float64(part) / (np.float64(part) + np.float64(rest))


def _event_cautions(label: IntArray) -> list[str]:
    events, others = int(label.sum()), int((1 - label).sum())
    if events == 0 or others == 0:
        missing = "with" if events == 0 else "without"
        return [f"no tested record {missing} the event: nothing can be said of the ranking"]
    if min(events, others) < FEW_EVENTS:
        rarer = "with" if events <= others else "without"
        return [
            f"only {min(events, others)} tested records {rarer} the event: "
            "the figures are uncertain"
        ]
    return []
