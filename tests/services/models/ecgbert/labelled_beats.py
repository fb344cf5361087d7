"""Made records whose V beats are wide and low, and a tiny base model to fine-tune."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import Annotations, EcgRecord
from services.models.ecgbert.hyperparameters import HYPERPARAMETERS
from services.models.ecgbert.model_folder import write_model_folder
from services.models.interface import FineTunePlan, LabelledRecord
from tests.services.models.ecgbert.tiny import TINY, tiny_clusters, tiny_network
from tests.signals import made_ecg


def labelled_record(seed: int, *, n_leads: int = 2, duration_s: float = 60.0) -> LabelledRecord:
    gains = (1.2, -0.7)[:n_leads]
    signal, peaks = made_ecg(
        duration_s=duration_s,
        heart_rate_bpm=60.0 + seed * 7 % 30,
        lead_gains_mv=gains,
        seed=seed,
        uneven_s=0.06,
    )
    every = 3 + seed % 3
    symbols = tuple("V" if n % every == every - 1 else "N" for n in range(len(peaks)))
    time = np.arange(-90, 90)
    for peak, symbol in zip(peaks, symbols, strict=True):
        inside = (peak + time >= 0) & (peak + time < signal.shape[1])
        if symbol == "V":
            wide = np.exp(-0.5 * (time / 22) ** 2)[inside]
            signal[:, peak + time[inside]] -= np.array(gains)[:, None] * 1.8 * wide
    record = EcgRecord(
        signal.astype(np.float32),
        ("MLII", "V1")[:n_leads],
        360.0,
        name=f"made{seed}",
        annotations=Annotations(peaks, symbols),
    )
    return LabelledRecord(f"rec_{seed}", f"patient{seed}", record)


def base_folder(folder: Path) -> Path:
    card = {
        "name": "tiny",
        "task": "beats",
        "family": "ecgbert",
        "labels": list(AAMI_CLASSES),
        "architecture": TINY.as_card(),
    }
    write_model_folder(folder, network=tiny_network(), clusters=tiny_clusters(), card=card)
    return folder


def plan(base: Path, *, head: Any = "keep", **chosen: Any) -> FineTunePlan:
    defaults = {name: each.default for name, each in HYPERPARAMETERS.items()}
    quick = {"epochs": 4, "batch": 32, "learning_rate": 0.02, "average_decay": 0.5}
    return FineTunePlan(base, head, defaults | quick | chosen, seed=3)
