"""Made 12-lead records whose outcome shows in V2, and the plan of a quick fine-tune."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from services.ecg.leads import STANDARD_12
from services.models.deepecg.hyperparameters import HYPERPARAMETERS
from services.models.interface import FineTunePlan, LabelledRecord
from tests.services.models.deepecg.small import twelve_lead_record


def labelled_record(seed: int, *, duration_s: float = 10.0) -> LabelledRecord:
    """Odd seeds have the outcome, and a V2 that is upside down."""
    record = twelve_lead_record(seed=seed, duration_s=duration_s, heart_rate_bpm=60.0 + seed % 7)
    label = float(seed % 2)
    signal = record.signal.copy()
    if label:
        signal[STANDARD_12.index("V2")] *= -1.5
    return LabelledRecord(f"rec_{seed}", f"patient{seed}", replace(record, signal=signal), label)


TRAIN = [labelled_record(seed) for seed in range(24)]
VALIDATION = [labelled_record(seed) for seed in range(100, 124)]


def plan(base: Path | None, *, head: Any = "reset", seed: int = 3, **chosen: Any) -> FineTunePlan:
    defaults = {name: each.default for name, each in HYPERPARAMETERS.items()}
    quick = {"epochs": 6, "batch": 8, "accumulation": 2, "learning_rate": 0.01, "loaders": 0}
    return FineTunePlan(base, head, defaults | quick | chosen, seed=seed)
