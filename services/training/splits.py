"""How patients are divided: a patient's beats never lie on both sides of a split (no torch)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def patient_folds(
    class_counts: Mapping[str, NDArray[np.int64]], *, n_folds: int
) -> tuple[tuple[str, ...], ...]:
    """Patients dealt into folds so that each fold holds a like share of every class.

    class_counts: patient -> (n_classes,) beats. The patient with the largest share of any class is
    dealt first, to the fold that is then the least uneven. The same input gives the same folds.
    """
    if n_folds < 2 or n_folds > len(class_counts):
        raise ValueError(f"{len(class_counts)} patients cannot be dealt into {n_folds} folds")
    patients = sorted(class_counts)
    counts = np.stack([class_counts[patient] for patient in patients]).astype(np.float64)
    share = counts / np.maximum(counts.sum(axis=0), 1)
    order = np.argsort(-share.max(axis=1), kind="stable")
    held = np.zeros((n_folds, share.shape[1]))
    members: list[list[str]] = [[] for _ in range(n_folds)]
    most = -(-len(patients) // n_folds)
    for place in order:
        cost = [
            _unevenness(held, fold, share[place], len(members[fold]), most)
            for fold in range(n_folds)
        ]
        fold = int(np.argmin(cost))
        held[fold] += share[place]
        members[fold].append(patients[place])
    return tuple(tuple(sorted(fold)) for fold in members)


def _unevenness(
    held: NDArray[np.float64], fold: int, share: NDArray[np.float64], size: int, most: int
) -> float:
    if size >= most:
        return float("inf")
    trial = held.copy()
    trial[fold] += share
    return float((trial**2).sum() + 1e-3 * size)
