"""How patients are divided: a patient's beats never lie on both sides of a split (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True)
class PatientSplit:
    """Whose records are fitted to, whose choose the epoch and calibrate, and whose only test."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def patient_split(
    class_counts: Mapping[str, NDArray[np.int64]],
    *,
    validation_share: float,
    test_share: float,
    seed: int,
) -> PatientSplit:
    """Patients in three parts that hold about those shares of every class.

    class_counts: patient -> (n_classes,) beats or records. Patients with the largest share of any
    class are placed first, each where most of what it brings is missing; the seed decides among
    like ones. No part whose share is above 0 is empty. Raises ValueError for too few patients.
    """
    shares = np.array([1 - validation_share - test_share, validation_share, test_share])
    if len(class_counts) < np.count_nonzero(shares > 0):
        raise ValueError(f"{len(class_counts)} patients cannot be divided in three")
    patients = sorted(class_counts)
    counts = np.stack([class_counts[patient] for patient in patients]).astype(np.float64)
    counts = np.concatenate([counts, np.ones((len(patients), 1))], axis=1)  # patients count too
    share = counts / np.maximum(counts.sum(axis=0), 1)
    luck = np.random.default_rng(seed).uniform(0.8, 1.25, len(patients))
    held = np.zeros((3, share.shape[1]))
    parts: list[list[str]] = [[], [], []]
    left = len(patients)
    for place in np.argsort(-share.max(axis=1) * luck, kind="stable"):
        empty = [part for part in range(3) if shares[part] > 0 and not parts[part]]
        choice = empty if left <= len(empty) else [p for p in range(3) if shares[p] > 0]
        missing = (shares[:, None] - held) / np.maximum(shares[:, None], 1e-9)
        gain = (missing * share[place]).sum(axis=1)
        part = max(choice, key=lambda p: gain[p])
        held[part] += share[place]
        parts[part].append(patients[place])
        left -= 1
    return PatientSplit(*(tuple(sorted(part)) for part in parts))
