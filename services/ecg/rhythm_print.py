"""What a recording is known again by, whatever its gain, its leads and where it was cut: its beats.

The times of a record's R peaks hold its R-R intervals, and a run of those is as good as a
signature: five intervals find the places where two records may be the same one, and the beats
around such a place say whether they are. No sample of the signal is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from services.ecg.record import EcgRecord
from services.ecg.rpeaks import r_peaks

Seconds = NDArray[np.float32]

LEADS_READ = 3  # more leads find the same beats, and take longer
MAX_BEATS = 30_000  # six hours and more
LOWEST_RATE_HZ = 100.0  # below it no R peak is looked for

INTERVALS = 5  # of a point: six beats
INTERVAL_REACH_S = 0.012  # copies at another rate find their peaks up to a sample or two away
POINTS_ASKED = 200  # of a record, those with the most uneven rhythm; all points are answered from
NEIGHBORS = 16  # asked of each point
# of all records together, so that memory stays bounded: then each gives its most uneven ones alone
MOST_ASKED, MOST_ANSWERING = 400_000, 1_000_000
FEWEST_POINTS = 8  # of a record, however many records there are

BEAT_REACH_S = 0.02  # two beats of a copy are not farther apart
ALIGNED_SHARE = 0.85  # of the beats in the stretch that two records share
PAIRS_A_RECORD = 4
LAGS_A_PAIR = 3


@dataclass(frozen=True)
class Meeting:
    """Two records (by their positions) that may hold the same stretch.

    lag_s: what is at `t` in the first is at `t - lag_s` in the second.
    n_beats: of the first in the shared stretch; aligned: how many of them the second has too.
    """

    first: int
    second: int
    lag_s: float
    n_beats: int
    aligned: int


def beat_times(record: EcgRecord) -> Seconds:
    """(n_beats,) ascending float32 seconds of the R peaks; empty where none can be found."""
    leads = list(record.ecg_lead_indices[:LEADS_READ])
    if not leads or record.sampling_rate_hz < LOWEST_RATE_HZ:
        return np.empty(0, np.float32)
    found = r_peaks(
        np.asarray(record.signal[leads], np.float32), sampling_rate_hz=record.sampling_rate_hz
    )
    return (found[:MAX_BEATS] / record.sampling_rate_hz).astype(np.float32)


def meetings(
    prints: Sequence[Seconds], among: Sequence[Seconds] | None = None
) -> Iterator[Meeting]:
    """Pairs of records whose beats fall together, the surest first for each record.

    prints: beat times of each record. among: the records to be compared with, numbered from 0;
    None for those of `prints` themselves, each pair then once, `first` before `second`.
    """
    others = prints if among is None else among
    share = max(FEWEST_POINTS, MOST_ASKED // max(len(prints), 1))
    asked, asked_at = _points(prints, at_most=min(POINTS_ASKED, share))
    answering, answering_at = _points(
        others, at_most=max(FEWEST_POINTS, MOST_ANSWERING // max(len(others), 1))
    )
    if len(asked) == 0 or len(answering) == 0:
        return
    _, near = cKDTree(answering).query(
        asked, k=NEIGHBORS, p=np.inf, distance_upper_bound=INTERVAL_REACH_S
    )
    row, column = np.nonzero(near < len(answering))
    mine, theirs = asked_at[row], answering_at[near[row, column]]
    if among is None:
        other = mine["record"] != theirs["record"]
        mine, theirs = mine[other], theirs[other]
    yield from _aligned(prints, others, mine, theirs, ordered=among is None)


_PLACE = np.dtype([("record", np.int64), ("at_s", np.float64)])


def _points(
    prints: Sequence[Seconds], *, at_most: int
) -> tuple[NDArray[np.float32], NDArray[np.void]]:
    """(n, INTERVALS) runs of R-R intervals in seconds, and where each begins."""
    runs, places = [], []
    for number, beats in enumerate(prints):
        if len(beats) <= INTERVALS:
            continue
        run = np.lib.stride_tricks.sliding_window_view(np.diff(beats), INTERVALS)
        at = np.arange(len(run))
        if len(run) > at_most:
            at = np.argpartition(-run.std(axis=1), at_most)[:at_most]
        place = np.empty(len(at), _PLACE)
        place["record"], place["at_s"] = number, beats[at]
        runs.append(run[at])
        places.append(place)
    if not runs:
        return np.empty((0, INTERVALS), np.float32), np.empty(0, _PLACE)
    return np.concatenate(runs), np.concatenate(places)


def _aligned(
    prints: Sequence[Seconds],
    among: Sequence[Seconds],
    mine: NDArray[np.void],
    theirs: NDArray[np.void],
    *,
    ordered: bool,
) -> Iterator[Meeting]:
    """The best lag of each pair that was found, if the beats around it fall together."""
    swap = ordered & (mine["record"] > theirs["record"])
    first = np.where(swap, theirs["record"], mine["record"])
    second = np.where(swap, mine["record"], theirs["record"])
    lag_s = np.where(swap, theirs["at_s"] - mine["at_s"], mine["at_s"] - theirs["at_s"])
    bins = np.rint(lag_s / BEAT_REACH_S).astype(np.int64)
    bins -= bins.min(initial=0)
    key = (first * len(among) + second) * (int(bins.max(initial=0)) + 1) + bins
    _, at, votes = np.unique(key, return_index=True, return_counts=True)
    tried: dict[tuple[int, int], list[Meeting]] = {}
    asked: dict[int, int] = {}
    for place in at[np.argsort(-votes, kind="stable")].tolist():
        pair = (int(first[place]), int(second[place]))
        known = tried.get(pair)
        if known is None:
            if asked.get(pair[0], 0) >= PAIRS_A_RECORD:
                continue
            asked[pair[0]] = asked.get(pair[0], 0) + 1
            known = tried[pair] = []
        if len(known) < LAGS_A_PAIR:
            known.append(_meeting(prints[pair[0]], among[pair[1]], pair, float(lag_s[place])))
    best = [max(known, key=lambda m: m.aligned) for known in tried.values()]
    good = [m for m in best if m.aligned > max(INTERVALS, ALIGNED_SHARE * m.n_beats)]
    yield from sorted(good, key=lambda m: -m.aligned)


def _meeting(first: Seconds, second: Seconds, pair: tuple[int, int], lag_s: float) -> Meeting:
    """How many beats of the stretch that both records cover fall together at this lag."""
    moved = second.astype(np.float64) + lag_s
    low, high = max(first[0], moved[0]), min(first[-1], moved[-1])
    mine = first[(first >= low - BEAT_REACH_S) & (first <= high + BEAT_REACH_S)].astype(np.float64)
    after = np.clip(np.searchsorted(moved, mine), 1, len(moved) - 1)
    away = np.minimum(np.abs(moved[after] - mine), np.abs(moved[after - 1] - mine))
    return Meeting(*pair, lag_s, len(mine), int(np.count_nonzero(away <= BEAT_REACH_S)))
