"""Which patients validate: a share of them in which each class has that share of its beats."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def validation_patients(
    class_counts: Mapping[str, NDArray[np.int64]], *, share: float, seed: int
) -> tuple[str, ...]:
    """Ascending names of the patients that validate; at least one validates and one trains.

    class_counts: patient -> (n_classes,) beats. Patients are dealt rarest class first, each to the
    side that is then nearer to its share of every class and of the patients; a class that two
    patients have is on both sides. seed: the order of patients that are alike. The same input gives
    the same split on every machine. ValueError for fewer than two patients.
    """
    patients = sorted(class_counts)
    if len(patients) < 2:
        raise ValueError("a split needs two patients")
    counts = np.stack([class_counts[patient] for patient in patients]).astype(np.float64)
    has = counts > 0
    amounts = np.hstack([counts / np.maximum(counts.sum(axis=0), 1), _ones(len(patients))])
    target = np.array([[1 - share], [share]])  # rows: training, validation
    held, members = np.zeros((2, amounts.shape[1])), np.zeros((2, len(patients)), dtype=bool)
    for place in _order(counts, seed):
        trial = held + amounts[place]
        cost = ((trial - target) ** 2 - (held - target) ** 2).sum(axis=1) / target[:, 0]
        side = _needed_side(has, members, int(place))
        side = int(np.argmin(cost)) if side is None else side
        held[side] += amounts[place]
        members[side, place] = True
    _fill_empty_side(members, amounts)
    return tuple(patients[place] for place in np.flatnonzero(members[1]))


def _ones(n_patients: int) -> NDArray[np.float64]:
    return np.full((n_patients, 1), 1 / n_patients)


def _order(counts: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Patients with a class that few have first, those with most of it before the others."""
    among = np.maximum((counts > 0).sum(axis=0), 1)
    rarity = np.where(counts > 0, 1 / among, 0).max(axis=1, initial=0)
    most = (counts / np.maximum(counts.sum(axis=0), 1)).max(axis=1, initial=0)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    return np.asarray(np.lexsort((shuffled, -most, -rarity)), dtype=np.int64)


def _needed_side(has: NDArray[np.bool_], members: NDArray[np.bool_], place: int) -> int | None:
    """The side that lacks a class of this patient which the other side has; training first."""
    with_class = [has[side_members].any(axis=0) for side_members in members]
    for side in range(2):
        if (has[place] & ~with_class[side] & with_class[1 - side]).any():
            return side
    return None


def _fill_empty_side(members: NDArray[np.bool_], amounts: NDArray[np.float64]) -> None:
    for side in range(2):
        if not members[side].any():
            smallest = int(np.argmin(amounts.sum(axis=1)))
            members[side, smallest], members[1 - side, smallest] = True, False
