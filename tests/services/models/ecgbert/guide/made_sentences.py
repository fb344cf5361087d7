"""Sentences whose beats say by their QRS token and signal what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.ecg.segmentation import wave_intervals
from services.models.ecgbert.guide.sentences import (
    NO_LABEL,
    Granularity,
    RecordSentences,
    lead_sentence,
)

N_BEATS = 60
QRS_IDS = np.array([12, 13, 14, 15, 16])
# small enough for a second or two of training, and able to learn what is made here
QUICK: Mapping[str, Any] = {
    "attention_window": 32,
    "epochs": 6,
    "learning_rate": 0.01,
    "train_embedding": True,
}


def made_record(
    name: str, *, seed: int, granularity: Granularity = "wave", n_beats: int = N_BEATS
) -> RecordSentences:
    """A record of N and V beats (0 and 2); every tenth beat has no label."""
    rng = np.random.default_rng(seed)
    peaks = 200 + 300 * np.arange(n_beats)
    waves = wave_intervals(peaks, n_samples=300 * n_beats + 100, sampling_rate_hz=360.0)
    label = rng.choice([0, 2], n_beats)
    beat_of_wave = np.append(label, 0)[waves.beat]  # background has the beat -1
    ids = np.array([3, 0, 35, 50])[waves.kind]
    ids = np.where(waves.kind == 1, QRS_IDS[beat_of_wave], ids)
    lead = 0.05 * rng.standard_normal(300 * n_beats + 100)
    for peak, kind in zip(peaks, label, strict=True):
        lead[peak - 10 : peak + 10] += 1.0 if kind == 0 else -1.5
    taught = np.where(np.arange(n_beats) % 10 == 9, NO_LABEL, label)
    made = lead_sentence(lead, waves, ids, taught, granularity=granularity)
    return RecordSentences(name, name, granularity, ("II",), (made,), peaks)
