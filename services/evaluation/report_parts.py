"""What the reports of both tasks share: which models stand beside each other, and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.evaluation.bootstrap import Sampled, verdict

NEW, BASE, PROMOTED = "new", "base", "promoted"
BOTH = "base and promoted"
DECIDING = ("macro_f1", "auroc")  # figures by which a promotion is refused
FEW_PATIENTS = 10
SHOWN_NAMES = 5


@dataclass(frozen=True)
class Compared:
    """A model of a report.

    role: NEW, BASE, PROMOTED or BOTH. name: `name@version`, or what it is called before it has one.
    trained_on: ids of the tested records that it, or what it was made from, was trained on.
    """

    role: str
    name: str
    trained_on: frozenset[str] = frozenset()


def model_json(model: Compared, tested: Sequence[str]) -> dict[str, Any]:
    """The head of a model's part of a report. tested: ids of the records."""
    seen = [record_id for record_id in tested if record_id in model.trained_on]
    return {"role": model.role, "name": model.name, "trained_on": seen}


def common_cautions(
    models: Sequence[Compared], tested: Sequence[str], patients: Sequence[str]
) -> list[str]:
    """Too few patients, and models that know the records they are tested on."""
    cautions = []
    n_patients = len(set(patients))
    if n_patients < FEW_PATIENTS:
        cautions.append(
            f"only {n_patients} patients were tested: an interval of so few says little"
        )
    for model in models:
        seen = [record_id for record_id in tested if record_id in model.trained_on]
        if seen:
            cautions.append(
                f"{model.name} ({model.role}) was trained on {len(seen)} of the {len(tested)} "
                "tested records: its figures are too good, and a comparison with it is unfair to "
                "the others"
            )
    return cautions


def differences(
    models: Sequence[Compared],
    figures: Sequence[Sampled],
    *,
    figure: str,
    larger_is_better: bool = True,
) -> list[dict[str, Any]]:
    """The new model's figure less each other's, over the same samples of the same patients.

    figures: of each model. `verdict` is `better`, `worse` or `no different`.
    """
    found = []
    for at, new in enumerate(models):
        for other, model in enumerate(models):
            if new.role != NEW or other == at:
                continue
            difference = figures[at].minus(figures[other])
            found.append(
                {
                    "model": new.name,
                    "against": model.name,
                    "role": model.role,
                    "figure": figure,
                    "difference": difference.as_json(),
                    "verdict": verdict(difference, larger_is_better=larger_is_better),
                }
            )
    return found


def worse_than(report: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The difference by which a report's model is worse than another beyond chance, if it is.

    name: `name@version` of the other model.
    """
    for difference in report.get("differences", ()):
        decides = difference["figure"] in DECIDING and difference["against"] == name
        if decides and difference["verdict"] == "worse":
            found: dict[str, Any] = difference
            return found
    return None


def mean_of_there(values: Any) -> Any:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    there = np.isfinite(values)
    total = np.where(there, values, 0.0).sum(axis=-1)
    count = there.sum(axis=-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
