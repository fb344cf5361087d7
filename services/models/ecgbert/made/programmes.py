"""Rhythms for training: stretches of sinus rhythm, ectopy, pauses and fibrillation, drawn at will.

Their numbers are ranges of physiology, wide on purpose; prevalence above all: in some records most
beats are ectopic, in others none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.models.ecgbert.made.signal import (
    BLOCKED,
    EARLY,
    EARLY_BLOCKED,
    FIBRILLATING,
    NORMAL,
    VENTRICULAR,
    BeatBank,
    MadeRhythm,
)
from services.models.ecgbert.rhythm import running_mean

N_BEATS = 700
FIBRILLATION_BEATS = 600
BLOCK_BEATS = 600
BIGEMINY_BEATS, BIGEMINY_STRETCH = 600, 72
BLOCKS = ("always", "stretches", "by_rate", "every_second", "single")  # when a branch is blocked
OWN_VENTRICULAR = 0.6
_BLOCK_CHANCES = (0.15, 0.35, 0.3, 0.1, 0.1)
SHORTEST_S, LONGEST_S = 0.3, 4.0
STRETCHES = (
    "plain",
    "single",
    "group",
    "run",
    "slow",
    "fibrillation",
    "v_single",
    "v_group",
    "block",
)
STRETCHES_A_RECORD = 3
STRETCH_BEATS = (20, 120)
_RUNS = (2, 4, 10, 30)  # early beats in a row
_FEW = (1, 2, 3)
_FEW_CHANCES = (0.85, 0.1, 0.05)

Beat = tuple[str, float]


@dataclass(frozen=True)
class _Patient:
    """What stays the same through a record: how early its early beats are."""

    base_s: float
    early_share: float
    ventricular_share: float


@dataclass(frozen=True)
class _Stretch:
    """What stays the same through a stretch."""

    kind: str
    chance: float
    every: int
    pace: float
    pause: float
    fibrillation_s: float
    fibrillation_spread: float


def made_programme(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """About 700 beats of up to three kinds of stretches, in turn."""
    patient = _Patient(
        base_s=float(np.clip(bank.usual_rr_s * np.exp(rng.normal(0, 0.2)), 0.5, 1.5)),
        early_share=rng.uniform(0.5, 0.88),
        ventricular_share=rng.uniform(0.4, 0.85),
    )
    known = [name for name in STRETCHES if bank.has_ventricular or not name.startswith("v_")]
    kinds = rng.choice(known, size=STRETCHES_A_RECORD)
    variation = sinus_variation(N_BEATS + max(_RUNS) + STRETCH_BEATS[1], rng)
    beats: list[Beat] = []
    while len(beats) < N_BEATS:
        stretch = _drawn_stretch(str(rng.choice(kinds)), rng)
        end = len(beats) + int(rng.integers(*STRETCH_BEATS))
        while len(beats) < end:
            sinus_s = patient.base_s * stretch.pace * float(variation[min(len(beats), N_BEATS)])
            beats += list(_phrase(stretch, patient, sinus_s, rng, bank.has_ventricular))
    return rhythm_of(beats)


def made_fibrillation(bank: BeatBank, rng: np.random.Generator, *, sinus: bool) -> MadeRhythm:
    """600 beats in fibrillation, ventricular ones among them; sinus: not all the time."""
    mean_s, spread = rng.uniform(0.5, 1.0), rng.uniform(0.12, 0.28)
    wander = rng.normal(0, spread, FIBRILLATION_BEATS)
    wander[1:] += rng.uniform(-0.3, 0.3) * wander[:-1]
    slow = 0.1 * np.sin(np.arange(FIBRILLATION_BEATS) / 60)
    interval_s = np.clip(mean_s * np.exp(wander + slow), 0.33, 2.2)
    kind = np.full(FIBRILLATION_BEATS, FIBRILLATING)
    if sinus:
        first = int(rng.integers(0, FIBRILLATION_BEATS // 2))
        steady = slice(first, first + int(rng.integers(80, 250)))
        kind[steady] = NORMAL
        count = len(interval_s[steady])
        interval_s[steady] = bank.usual_rr_s * np.exp(rng.normal(0, 0.03, count))
    if bank.has_ventricular:
        wide = rng.random(FIBRILLATION_BEATS) < 0.05
        kind[wide] = VENTRICULAR
        early_s = mean_s * rng.uniform(0.5, 0.9, int(wide.sum()))
        interval_s[wide] = np.maximum(0.33, early_s)
    return MadeRhythm(tuple(str(k) for k in kind), interval_s)


def made_block(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """600 beats with a bundle branch that is blocked always, at times or from some rate on.

    Early atrial beats and ventricular ones, made of ordinary ones or the patient's, now and then.
    """
    own = bank.has_ventricular and rng.random() < OWN_VENTRICULAR
    base_s = float(np.clip(bank.usual_rr_s * np.exp(rng.normal(0, 0.2)), 0.5, 1.4))
    pace = rng.uniform(0, 0.25) * np.sin(np.arange(BLOCK_BEATS) / rng.uniform(8, 40))
    sinus_s = base_s * sinus_variation(BLOCK_BEATS, rng) * np.exp(pace)
    slow = _blocked_beats(str(rng.choice(BLOCKS, p=_BLOCK_CHANCES)), sinus_s, rng)
    early_chance, wide_chance = rng.choice((0.0, 0.02, 0.1)), rng.choice((0.02, 0.1))
    early_share, wide_share = rng.uniform(0.5, 0.88), rng.uniform(0.4, 0.85)
    beats: list[Beat] = []
    pause = 1.0
    for seconds, block in zip(sinus_s, slow, strict=True):
        drawn = rng.random()
        if pause == 1.0 and drawn < early_chance:
            beats.append((EARLY_BLOCKED if block else EARLY, seconds * early_share))
            pause = rng.uniform(1.0, 1.3)
        elif pause == 1.0 and drawn > 1 - wide_chance:
            beats.append((VENTRICULAR, seconds * wide_share))
            pause = 2 - wide_share
        else:
            beats.append((BLOCKED if block else NORMAL, seconds * pause))
            pause = 1.0
    return replace(rhythm_of(beats), own_ventricular=own)


def made_bigeminy(bank: BeatBank, rng: np.random.Generator) -> MadeRhythm:
    """600 beats, long stretches in which every second or third one is early, of one kind."""
    base_s = float(np.clip(bank.usual_rr_s * np.exp(rng.normal(0, 0.2)), 0.5, 1.5))
    sinus_s = base_s * sinus_variation(BIGEMINY_BEATS, rng)
    wide = bank.has_ventricular and rng.random() < 0.5
    share, pause = rng.uniform(0.45, 0.88), rng.uniform(0.95, 1.4)
    beats: list[Beat] = []
    every = 0
    for place, seconds in enumerate(sinus_s):
        if place % BIGEMINY_STRETCH == 0:
            every = int(rng.choice((0, 2, 3), p=(0.3, 0.5, 0.2)))
        if every and place % every == every - 1:
            jitter = float(np.exp(rng.normal(0, 0.03)))
            beats.append((VENTRICULAR if wide else EARLY, seconds * share * jitter))
        else:
            after = place > 0 and beats[-1][0] in (VENTRICULAR, EARLY)
            later = (2 - share if wide else pause) if after else 1.0
            beats.append((NORMAL, seconds * later))
    return rhythm_of(beats)


def _blocked_beats(
    when: str, sinus_s: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """(n_beats,): whether the branch is blocked at a beat; sinus_s: the intervals, (n_beats,)."""
    n_beats = len(sinus_s)
    if when == "always":
        return np.ones(n_beats, dtype=bool)
    if when == "every_second":
        return np.asarray(np.arange(n_beats) % 2 == 0)
    if when == "single":
        return np.asarray(rng.random(n_beats) < rng.uniform(0.02, 0.15))
    if when == "by_rate":
        usual = running_mean(sinus_s, beside=1)
        return np.asarray(usual < np.quantile(usual, rng.uniform(0.2, 0.8)))
    turns = rng.random(n_beats) < 1 / rng.uniform(5, 80)
    return np.asarray((np.cumsum(turns) + rng.integers(2)) % 2 == 0)


def sinus_variation(n_beats: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Factors of the sinus interval, (n_beats,): breath, slow drift and a little chance."""
    drift = np.zeros(n_beats)
    steps = rng.normal(0, 0.01, n_beats)
    for place in range(1, n_beats):
        drift[place] = 0.98 * drift[place - 1] + steps[place]
    turn = 2 * np.pi * rng.uniform(0.15, 0.35)
    breath = rng.uniform(0, 0.08) * np.sin(turn * np.arange(n_beats) + rng.uniform(0, 6))
    chance = rng.normal(0, rng.uniform(0, 0.03), n_beats)
    return np.asarray(np.exp(drift + breath + chance))


def rhythm_of(beats: Sequence[Beat]) -> MadeRhythm:
    """Beats in turn as a rhythm, each interval within bounds."""
    interval_s = np.clip([seconds for _, seconds in beats], SHORTEST_S, LONGEST_S)
    return MadeRhythm(tuple(kind for kind, _ in beats), np.asarray(interval_s, dtype=np.float64))


def _drawn_stretch(kind: str, rng: np.random.Generator) -> _Stretch:
    return _Stretch(
        kind=kind,
        chance=rng.uniform(0.03, 0.4),
        every=int(rng.integers(2, 5)),
        pace=float(np.exp(rng.normal(0, 0.1))),
        pause=rng.uniform(0.95, 1.35),
        fibrillation_s=rng.uniform(0.5, 1.1),
        fibrillation_spread=rng.uniform(0.12, 0.28),
    )


def _phrase(
    stretch: _Stretch,
    patient: _Patient,
    sinus_s: float,
    rng: np.random.Generator,
    has_ventricular: bool,
) -> Iterator[Beat]:
    """The next few beats of a stretch."""
    kind = stretch.kind
    if kind == "fibrillation":
        wide = has_ventricular and rng.random() < 0.03
        irregular = stretch.fibrillation_s * np.exp(rng.normal(0, stretch.fibrillation_spread))
        yield VENTRICULAR if wide else FIBRILLATING, float(np.clip(irregular, 0.33, 2.0))
    elif kind in ("single", "group", "v_single", "v_group"):
        yield from _early(stretch, patient, sinus_s, rng)
    elif kind == "run":
        yield from _row(EARLY, int(rng.choice(_RUNS)), patient.early_share * sinus_s, 0.04, rng)
        yield NORMAL, sinus_s * rng.uniform(1.0, 2.2)
        yield from _row(NORMAL, int(rng.integers(0, 6)), sinus_s, 0.0, rng)
    elif kind == "slow":  # a sick sinus node: slow, with pauses, and early beats that fill them
        yield NORMAL, 1.4 * sinus_s
        if rng.random() < stretch.chance:
            yield NORMAL, sinus_s * rng.uniform(1.6, 3.0)
        if rng.random() < stretch.chance:
            length = int(rng.choice((1, 2, 4, 8)))
            yield from _row(EARLY, length, patient.early_share * sinus_s, 0.05, rng)
    elif kind == "block":
        blocked = rng.random() < stretch.chance / 2
        yield NORMAL, sinus_s * (rng.uniform(1.5, 2.1) if blocked else 1.0)
    else:
        yield NORMAL, sinus_s


def _early(
    stretch: _Stretch, patient: _Patient, sinus_s: float, rng: np.random.Generator
) -> Iterator[Beat]:
    """An early beat, or two or three, and a pause; or an ordinary beat."""
    wide = stretch.kind.startswith("v_")
    by_chance = rng.random() < stretch.chance
    due = by_chance if stretch.kind.endswith("single") else rng.random() < 1 / stretch.every
    if not due:
        yield NORMAL, sinus_s
        return
    share = patient.ventricular_share if wide else patient.early_share
    length = int(rng.choice(_FEW, p=_FEW_CHANCES))
    yield from _row(VENTRICULAR if wide else EARLY, length, share * sinus_s, 0.05, rng)
    if not wide:
        yield NORMAL, sinus_s * stretch.pause * float(np.exp(rng.normal(0, 0.05)))
    else:  # the sinus node mostly keeps its time, now and then it is reset
        yield NORMAL, sinus_s * (2 - share if rng.random() < 0.8 else 1.0)


def _row(
    kind: str, length: int, interval_s: float, spread: float, rng: np.random.Generator
) -> Iterator[Beat]:
    for seconds in interval_s * np.exp(rng.normal(0, spread, length)):
        yield kind, float(seconds)
