"""Beats as files that other programs read."""

from __future__ import annotations

import numpy as np

from services.ecg.annotation_files import beats_annotation_zip, beats_csv
from services.models.results import BeatResult


def csv_bytes(result: BeatResult) -> bytes:
    """`sample,time_s,label,probability`, one line a beat."""
    text = beats_csv(
        result.sample,
        labels=_labels(result),
        probabilities=_probability(result),
        sampling_rate_hz=result.sampling_rate_hz,
    )
    return text.encode()


def annotation_zip(result: BeatResult, *, record_name: str, n_samples: int = 0) -> bytes:
    """A WFDB annotation file and a header that says which record it belongs to, as a .zip."""
    return beats_annotation_zip(
        result.sample,
        labels=_labels(result),
        sampling_rate_hz=result.sampling_rate_hz,
        record_name=record_name,
        n_samples=n_samples,
    )


def _labels(result: BeatResult) -> list[str]:
    return [result.labels[index] for index in result.label_index.tolist()]


def _probability(result: BeatResult) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    rows = np.arange(len(result.sample))
    chosen: np.ndarray[tuple[int], np.dtype[np.float32]]
    chosen = result.probabilities[rows, result.label_index]
    return chosen
