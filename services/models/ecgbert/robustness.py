"""How left-out patients of DS1 are read on one lead, at other rates, in noise, and in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from services.ecg.labels import AAMI_CLASSES, DS1
from services.ecg.record import Annotations, EcgRecord, IntArray
from services.ecg.resampling import indices_at_rate, resampled
from services.evaluation import beats as ec57
from services.models.ecgbert.default_model import (
    CPU,
    HeldOut,
    answered,
    fitted_to_left_out,
    left_out_models,
    read_training_records,
)
from services.models.ecgbert.inference import BeatPredictor
from services.models.ecgbert.training import Recipe
from services.training.progress import NoProgress, Progress

RATES_HZ = (128.0, 200.0, 250.0, 500.0)
NOISE_DB = (24.0, 12.0, 6.0)
PIECES_S = (300.0, 60.0)
WANDER_HZ = 0.3  # of the slow half of the noise
_NO_MATRIX = np.zeros((len(AAMI_CLASSES) + 1,) * 2, dtype=np.int64)

Change = Callable[[EcgRecord], Iterator[EcgRecord]]


def one_lead(record: EcgRecord, *, lead: int) -> Iterator[EcgRecord]:
    """The record with this lead alone."""
    yield replace(
        record,
        signal=record.signal[[lead]],
        lead_names=(record.lead_names[lead],),
        units=(record.units[lead],),
    )


def at_rate(record: EcgRecord, *, rate_hz: float) -> Iterator[EcgRecord]:
    """The record and its annotations at another sampling rate."""
    here = record.sampling_rate_hz
    signal = resampled(record.signal, from_hz=here, to_hz=rate_hz)
    marks = _marks(record)
    sample = indices_at_rate(marks.sample, from_hz=here, to_hz=rate_hz, n_samples=signal.shape[1])
    yield replace(
        record,
        signal=signal,
        sampling_rate_hz=rate_hz,
        annotations=replace(marks, sample=sample),
    )


def in_noise(record: EcgRecord, *, db: float) -> Iterator[EcgRecord]:
    """Noise, half of its power white and half slow wander, added to every lead.

    db: power of the signal, an eighth of its squared range (1st to 99th percentile) as the noise
    stress test of the MIT-BIH database has it, over that of the noise.
    """
    rng = np.random.default_rng([round(db), *record.name.encode()])
    low, high = np.nanpercentile(record.signal, (1, 99), axis=1, keepdims=True)
    power = (high - low) ** 2 / 8 / 10 ** (db / 10)
    white = rng.normal(0, 1, record.signal.shape)
    time_s = np.arange(record.n_samples) / record.sampling_rate_hz
    turn = 2 * np.pi * WANDER_HZ
    slow = np.sqrt(2) * np.sin(turn * time_s + rng.uniform(0, 2 * np.pi, (record.n_leads, 1)))
    noise = np.sqrt(power / 2) * (white + slow)
    yield replace(record, signal=(record.signal + noise).astype(np.float32))


def in_pieces(record: EcgRecord, *, piece_s: float) -> Iterator[EcgRecord]:
    """One record after another of this length; what is left at the end is not read."""
    length = round(piece_s * record.sampling_rate_hz)
    marks = _marks(record)
    for start in range(0, record.n_samples - length + 1, length):
        inside = (marks.sample >= start) & (marks.sample < start + length)
        symbols = tuple(np.array(marks.symbol, dtype=object)[inside])
        yield replace(
            record,
            signal=record.signal[:, start : start + length],
            annotations=Annotations(marks.sample[inside] - start, symbols),
        )


def unchanged(record: EcgRecord) -> Iterator[EcgRecord]:
    """The record as it is."""
    yield record


CHANGES: Mapping[str, Change] = MappingProxyType(
    {"both leads": unchanged}
    | {f"lead {lead + 1} alone": partial(one_lead, lead=lead) for lead in (0, 1)}
    | {f"{rate:g} Hz": partial(at_rate, rate_hz=rate) for rate in RATES_HZ}
    | {f"noise {db:g} dB": partial(in_noise, db=db) for db in NOISE_DB}
    | {f"pieces of {piece / 60:g} min": partial(in_pieces, piece_s=piece) for piece in PIECES_S}
)


def robustness(
    mitdb: Path,
    *,
    seed: int = 0,
    progress: Progress,
    recipe: Recipe | None = None,
    records: Sequence[str] = DS1,
    changes: Mapping[str, Change] = CHANGES,
) -> dict[str, IntArray]:
    """What was read -> confusion matrix (6, 6) over all left-out records, from our own R peaks.

    Of the folder only `records` are opened. Patients are left out as in the training of the default
    model, and answers are calibrated as its are.
    """
    recipe = recipe or Recipe()
    data = read_training_records(mitdb, records, recipe=recipe, progress=progress)
    held_out: dict[str, HeldOut] = {}
    models = []
    for network, clusters, left_out in left_out_models(data, recipe, seed=seed, progress=progress):
        held_out |= {each.annotated.record: answered(network, clusters, each) for each in left_out}
        models.append((network, clusters, left_out))
    calibration = fitted_to_left_out(data, held_out)
    found = dict.fromkeys(changes, _NO_MATRIX)
    for network, clusters, left_out in models:
        calibration.put_into(network)
        predictor = BeatPredictor(network, clusters, AAMI_CLASSES, device=CPU)
        for name, change in changes.items():
            progress.advance(0.9, stage=f"reading {name}")
            for each in left_out:
                progress.check_cancelled()
                found[name] = found[name] + _matrix(predictor, each.source, change)
    return found


def robustness_text(found: Mapping[str, IntArray]) -> str:
    """A table of per cent, for a terminal and for Markdown."""
    lines = ["| read as | QRS Se / +P | S | V | macro-F1 N S V |", "|---|---|---|---|---|"]
    for name, matrix in found.items():
        f1 = 100 * ec57.f1(matrix)
        se, pp = (
            100 * float(figure(matrix))
            for figure in (ec57.detection_sensitivity, ec57.detection_predictivity)
        )
        macro = 100 * float(ec57.macro_f1(matrix, ("N", "S", "V")))
        lines.append(f"| {name} | {se:.2f} / {pp:.2f} | {f1[1]:.1f} | {f1[2]:.1f} | {macro:.1f} |")
    return "\n".join(lines)


def _matrix(predictor: BeatPredictor, record: EcgRecord, change: Change) -> IntArray:
    total = _NO_MATRIX
    for changed in change(record):
        result = predictor.predict(changed, options={}, progress=NoProgress())
        total = total + ec57.record_confusion(
            _marks(changed),
            ec57.LabelledBeats(result.sample, result.label_index),
            sampling_rate_hz=changed.sampling_rate_hz,
        )
    return total


def _marks(record: EcgRecord) -> Annotations:
    assert record.annotations is not None  # noqa: S101 - training records are annotated
    return record.annotations
