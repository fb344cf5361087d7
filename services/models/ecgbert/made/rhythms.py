"""All that is made of one training record, and all that a left-out one is tried with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import EcgRecord
from services.models.ecgbert.made.blocks import second_ventricle_late
from services.models.ecgbert.made.derived import cut_up, fused, thinned
from services.models.ecgbert.made.programmes import (
    made_bigeminy,
    made_block,
    made_fibrillation,
    made_programme,
)
from services.models.ecgbert.made.shapes import ectopic, fibrillating, made_rhythms
from services.models.ecgbert.made.signal import BeatBank, MadeRhythm, beat_bank, made_record
from services.models.ecgbert.made.trials import TRIALS
from services.models.ecgbert.training_set import (
    LabelledShapes,
    annotated_shapes,
    detected_shapes,
)

SUPRAVENTRICULAR, VENTRICULAR = (AAMI_CLASSES.index(name) for name in "SV")
PIECES_S = (300.0, 60.0)  # of left-out records
EVERY = 3  # one-minute pieces of a record that are read: one in so many


@dataclass(frozen=True)
class MadePlan:
    """How many records of each kind are made of a training record.

    programmes: of stretches of all kinds. fibrillation: in fibrillation, every third partly.
    blocks: with a bundle branch that is blocked at times or always. bigeminy: every second or third
    beat early, for long.
    thinned, fused, steady: whether there are records of `derived.thinned` and `derived.fused`, and
    of `shapes` (fibrillation and ectopy laid over a record in steady sinus rhythm).
    """

    programmes: int = 6
    fibrillation: int = 3
    blocks: int = 4
    bigeminy: int = 2
    thinned: bool = True
    fused: bool = True
    steady: bool = True


def made_for_training(
    record: EcgRecord, beats: LabelledShapes, plan: MadePlan, *, seed: int
) -> Iterator[LabelledShapes]:
    """Records made of this one; beats are those of its annotations. A seed repeats them."""
    rng = _rng(seed, 1, record)
    bank = beat_bank(record)
    if bank is not None:
        rhythms = [made_programme(bank, rng) for _ in range(plan.programmes)]
        rhythms += [
            made_fibrillation(bank, rng, sinus=place % 3 == 2) for place in range(plan.fibrillation)
        ]
        for rhythm in rhythms:
            yield annotated_shapes(made_record(bank, rhythm, rng))
        yield from _as_found(bank, made_block, plan.blocks, rng=_rng(seed, 3, record))
        yield from _as_found(bank, made_bigeminy, plan.bigeminy, rng=_rng(seed, 5, record))
    if plan.steady:
        yield from made_rhythms([beats], [fibrillating, ectopic], seed=seed)
    if plan.thinned:
        for classes in ((SUPRAVENTRICULAR,), (VENTRICULAR,), (SUPRAVENTRICULAR, VENTRICULAR)):
            fewer = thinned(beats, classes, rng)
            if fewer is not None:
                yield fewer
    mixed = fused(beats, rng) if plan.fused else None
    if mixed is not None:
        yield mixed


def _as_found(
    bank: BeatBank,
    programme: Callable[[BeatBank, np.random.Generator], MadeRhythm],
    count: int,
    *,
    rng: np.random.Generator,
) -> Iterator[LabelledShapes]:
    """Read at the R peaks that the detector finds: in a late R' wave as often as in the R wave."""
    for _ in range(count):
        yield detected_shapes(made_record(bank, programme(bank, rng), rng))


def _rng(seed: int, which: int, record: EcgRecord) -> np.random.Generator:
    return np.random.default_rng([seed, which, *record.name.encode()])


def made_for_trial(
    record: EcgRecord, annotated: LabelledShapes, detected: LabelledShapes, *, seed: int
) -> Iterator[tuple[str, LabelledShapes]]:
    """What a left-out record is also read as: names of trials with their beats.

    `5 min` and `1 min`: pieces; `thinned`: its ectopic beats with few others; and TRIALS. The beats
    of pieces and trials are those that our detector finds.
    """
    rng = _rng(seed, 2, record)
    for piece_s in PIECES_S:
        pieces = cut_up(detected, duration_s=piece_s, n_samples=record.n_samples)
        every = EVERY if piece_s == min(PIECES_S) else 1
        for place, piece in enumerate(pieces):
            if place % every == 0:
                yield f"{piece_s / 60:g} min", piece
    for classes in ((SUPRAVENTRICULAR,), (VENTRICULAR,)):
        fewer = thinned(annotated, classes, rng)
        if fewer is not None:
            yield "thinned", fewer
    bank = beat_bank(record)
    if bank is None:
        return
    for name, trial in TRIALS.items():
        if name.startswith("ventricular") and not bank.has_ventricular:
            continue
        tried = made_record(bank, trial(bank, rng), rng, block=second_ventricle_late)
        found = detected_shapes(tried)
        yield name, replace(found, record=record.name)
