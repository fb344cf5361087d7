"""The one number that choices are made by: left-out patients, as recorded and as tried.

Fixed before any result (docs/beats-search.md): 0.7 times the mean over what is real (annotated and
detected beats, 5 and 1 minutes, thinned) of the balanced F1 of S and V, and 0.3 times the mean over
the made trials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.labels import AAMI_CLASSES
from services.evaluation import beats as ec57

NORMAL, SUPRAVENTRICULAR, VENTRICULAR = (AAMI_CLASSES.index(name) for name in "NSV")
REAL = ("annotated", "detected", "5 min", "1 min", "thinned")
REAL_SHARE = 0.7
FEWEST, COUNTED_AS = 10, 60  # beats of a class from which a patient counts, and as how many
MOST_FALSE = 200  # that one patient counts with
OF_VENTRICULAR = ("ventricular_bigeminy", "block", "changing_block")


@dataclass(frozen=True)
class Answers:
    """What one left-out record was answered, read in one way. label -1: no annotated beat."""

    trial: str
    patient: str
    label: NDArray[np.int64]
    answer: NDArray[np.int64]


def composite(answers: Iterable[Answers]) -> dict[str, Any]:
    """The composite, its two parts, and S and V of every trial, in per cent."""
    by_trial = _matrices(answers)
    trials = {name: _figures(by_patient) for name, by_patient in by_trial.items()}
    real = [np.mean([trials[name]["s_balanced"], trials[name]["v_balanced"]])
            for name in REAL if name in trials]  # fmt: skip
    made = [_of_trial(name, figures) for name, figures in trials.items() if name not in REAL]
    parts = {"real": float(np.mean(real)), "made": float(np.mean(made)) if made else 0.0}
    whole = REAL_SHARE * parts["real"] + (1 - REAL_SHARE) * parts["made"]
    rounded = {
        name: {key: round(value, 1) for key, value in figures.items()}
        for name, figures in trials.items()
    }
    return {
        "composite": round(whole, 1),
        **{name: round(value, 1) for name, value in parts.items()},
        "trials": rounded,
    }


def _matrices(answers: Iterable[Answers]) -> dict[str, dict[str, NDArray[np.int64]]]:
    """trial -> patient -> (6, 6) as in services.evaluation.beats, without a column for missed."""
    size = len(AAMI_CLASSES) + 1
    found: dict[str, dict[str, NDArray[np.int64]]] = defaultdict(dict)
    for each in answers:
        row = np.where(each.label >= 0, each.label, len(AAMI_CLASSES))
        counts = np.bincount(row * size + each.answer, minlength=size * size).reshape(size, size)
        so_far = found[each.trial].get(each.patient)
        found[each.trial][each.patient] = counts if so_far is None else so_far + counts
    return found


def _figures(by_patient: dict[str, NDArray[np.int64]]) -> dict[str, float]:
    matrices = np.stack(list(by_patient.values()))
    f1 = 100 * np.nan_to_num(ec57.f1(matrices.sum(axis=0)))
    return {
        "s_balanced": _balanced(matrices, SUPRAVENTRICULAR),
        "v_balanced": _balanced(matrices, VENTRICULAR),
        "n": float(f1[NORMAL]),
        "s": float(f1[SUPRAVENTRICULAR]),
        "v": float(f1[VENTRICULAR]),
    }


def _balanced(matrices: NDArray[np.int64], which: int) -> float:
    """F1 in which every patient with ten beats of the class counts as if with sixty."""
    beats = matrices[:, which].sum(axis=1)
    right = matrices[:, which, which]
    false = np.minimum(matrices[:, :, which].sum(axis=1) - right, MOST_FALSE).sum()
    counted = beats >= FEWEST
    found = COUNTED_AS * (right[counted] / beats[counted]).sum()
    missed = COUNTED_AS * counted.sum() - found
    return float(200 * found / max(2 * found + missed + false, 1e-9))


def _of_trial(name: str, figures: dict[str, float]) -> float:
    """S of atrial rhythms, V of ventricular ones and blocks; without ectopy, 5 times N's lack."""
    if name == "no_ectopy":
        return 100 - 5 * (100 - figures["n"])
    return figures["v_balanced" if name in OF_VENTRICULAR else "s_balanced"]
