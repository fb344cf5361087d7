"""Trials for patients who were left out of training: rhythms of fixed kinds.

What half-hour records of DS1 do not show: ectopic beats that are most of a record, trains of them
between pauses, fibrillation that comes and goes, and pauses and changes of rate without any ectopy.
The numbers here are not those that training draws from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from services.models.ecgbert.made.programmes import Beat, rhythm_of, sinus_variation
from services.models.ecgbert.made.signal import (
    BLOCKED,
    EARLY,
    FIBRILLATING,
    NORMAL,
    VENTRICULAR,
    BeatBank,
    MadeRhythm,
)

N_BEATS = 400  # about five minutes
BASE_S = (0.6, 1.0)

Trial = Callable[[BeatBank, np.random.Generator], MadeRhythm]


def early_beats(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """Single early atrial beats, a fifth of all, which reset the sinus node."""
    base_s = _base_s(bank)
    sinus_s = base_s * sinus_variation(N_BEATS, rng)
    beats: list[Beat] = []
    while len(beats) < N_BEATS - 1:
        after = len(beats) > 0 and beats[-1][0] == EARLY
        beats.append((NORMAL, sinus_s[len(beats)] * (rng.uniform(1.0, 1.2) if after else 1.0)))
        if rng.random() < 0.25:
            beats.append((EARLY, sinus_s[len(beats)] * rng.uniform(0.55, 0.82)))
    return rhythm_of(beats)


def bigeminy(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """Early atrial beats every second or third beat for most of the time."""
    share = rng.uniform(0.55, 0.75)
    sinus_s = 1.1 * _base_s(bank) * sinus_variation(N_BEATS, rng)
    beats: list[Beat] = []
    every = 2
    for place in range(N_BEATS):
        if place % 60 == 0:
            every = int(rng.choice((2, 3, 0), p=(0.6, 0.2, 0.2)))
        if every and place % every == every - 1:
            beats.append((EARLY, sinus_s[place] * share * np.exp(rng.normal(0, 0.03))))
        else:
            after = place > 0 and beats[-1][0] == EARLY
            beats.append((NORMAL, sinus_s[place] * (rng.uniform(1.05, 1.35) if after else 1.0)))
    return rhythm_of(beats)


def sick_sinus(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:  # noqa: ARG001 - a Trial
    """Slow sinus beats after pauses, between trains of early atrial beats, which are the most."""
    slow_s, fast_s = rng.uniform(1.1, 1.5), rng.uniform(0.6, 0.8)
    beats: list[Beat] = []
    while len(beats) < N_BEATS:
        length = int(rng.choice((1, 2, 3, 6, 15, 40), p=(0.1, 0.2, 0.25, 0.25, 0.15, 0.05)))
        beats += [(EARLY, fast_s * np.exp(rng.normal(0, 0.06))) for _ in range(length)]
        beats.append((NORMAL, rng.uniform(1.3, 2.8)))
        more = int(rng.choice((0, 1, 4), p=(0.6, 0.3, 0.1)))
        beats += [(NORMAL, slow_s * np.exp(rng.normal(0, 0.05))) for _ in range(more)]
    return rhythm_of(beats)


def fibrillation(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """Fibrillation and sinus rhythm in turn, with a few early atrial beats in the latter."""
    base_s = _base_s(bank)
    sinus_s = base_s * sinus_variation(N_BEATS, rng)
    mean_s, spread = rng.uniform(0.55, 0.9), rng.uniform(0.15, 0.25)
    beats: list[Beat] = []
    for place in range(N_BEATS):
        if place // 70 % 2 == 0:
            irregular = mean_s * np.exp(rng.normal(0, spread))
            beats.append((FIBRILLATING, float(np.clip(irregular, 0.35, 1.8))))
            continue
        beats.append((NORMAL, sinus_s[place]))
        if rng.random() < 0.07:
            beats.append((EARLY, base_s * rng.uniform(0.55, 0.8)))
            beats.append((NORMAL, base_s * rng.uniform(1.0, 1.25)))
    return rhythm_of(beats)


def ventricular_bigeminy(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """Ventricular beats every second or third beat, with full pauses."""
    share = rng.uniform(0.5, 0.75)
    sinus_s = 1.05 * _base_s(bank) * sinus_variation(N_BEATS, rng)
    beats: list[Beat] = []
    every = 2
    for place in range(N_BEATS):
        if place % 80 == 0:
            every = int(rng.choice((2, 3, 0), p=(0.65, 0.2, 0.15)))
        if every and place % every == every - 1:
            beats.append((VENTRICULAR, sinus_s[place] * share * np.exp(rng.normal(0, 0.02))))
        else:
            after = place > 0 and beats[-1][0] == VENTRICULAR
            beats.append((NORMAL, sinus_s[place] * (2 - share if after else 1.0)))
    return rhythm_of(beats)


def no_ectopy(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """Sinus arrhythmia, a changing rate and blocked beats: whatever is called S or V is wrong."""
    sinus_s = _base_s(bank) * sinus_variation(N_BEATS, rng)
    breath = 0.09 * np.sin(np.arange(N_BEATS) * rng.uniform(1.0, 2.0))
    knots = np.linspace(0, N_BEATS, 6)
    rate = np.interp(np.arange(N_BEATS), knots, rng.uniform(-0.35, 0.35, len(knots)))
    blocked = np.where(rng.random(N_BEATS) < 0.04, rng.uniform(1.5, 2.1, N_BEATS), 1.0)
    interval_s = sinus_s * np.exp(breath + rate) * blocked
    return rhythm_of([(NORMAL, seconds) for seconds in interval_s])


def block(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """A bundle branch that is always blocked, and now and then a ventricular beat."""
    return _with_ventricular(bank, np.ones(N_BEATS, dtype=bool), rng)


def changing_block(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """A bundle branch that is blocked for some tens of beats, again and again."""
    turn = int(rng.integers(15, 50))
    return _with_ventricular(bank, np.arange(N_BEATS) // turn % 2 == 1, rng)


def _with_ventricular(
    bank: BeatBank, blocked: NDArray[np.bool_], rng: np.random.Generator
) -> MadeRhythm:
    share = rng.uniform(0.5, 0.75)
    sinus_s = _base_s(bank) * sinus_variation(N_BEATS, rng)
    beats: list[Beat] = []
    for seconds, slow in zip(sinus_s, blocked, strict=True):
        after = len(beats) > 0 and beats[-1][0] == VENTRICULAR
        if bank.has_ventricular and not after and rng.random() < 0.08:
            beats.append((VENTRICULAR, seconds * share))
        else:
            beats.append((BLOCKED if slow else NORMAL, seconds * (2 - share if after else 1.0)))
    return rhythm_of(beats)


TRIALS: Mapping[str, Trial] = MappingProxyType(
    {
        "early_beats": early_beats,
        "bigeminy": bigeminy,
        "sick_sinus": sick_sinus,
        "fibrillation": fibrillation,
        "ventricular_bigeminy": ventricular_bigeminy,
        "no_ectopy": no_ectopy,
        "block": block,
        "changing_block": changing_block,
    }
)


def _base_s(bank: BeatBank) -> float:
    return float(np.clip(bank.usual_rr_s, *BASE_S))
