from __future__ import annotations

import numpy as np
import pytest

from services.training.splits import patient_folds, patient_split

COUNTS = {f"p{i}": np.array([100, 10 * (i % 3 == 0), i]) for i in range(12)}


def test_each_patient_is_in_exactly_one_fold() -> None:
    folds = patient_folds(COUNTS, n_folds=4)
    assert sorted(patient for fold in folds for patient in fold) == sorted(COUNTS)
    assert [len(fold) for fold in folds] == [3, 3, 3, 3]


def test_a_rare_class_is_spread_over_the_folds() -> None:
    folds = patient_folds(COUNTS, n_folds=4)
    assert [sum(int(COUNTS[patient][1]) for patient in fold) for fold in folds] == [10, 10, 10, 10]


def test_the_order_of_the_patients_changes_nothing() -> None:
    other = dict(reversed(list(COUNTS.items())))
    assert patient_folds(COUNTS, n_folds=4) == patient_folds(other, n_folds=4)


@pytest.mark.parametrize("n_folds", [1, 13])
def test_an_impossible_number_of_folds_is_refused(n_folds: int) -> None:
    with pytest.raises(ValueError, match="cannot be dealt"):
        patient_folds(COUNTS, n_folds=n_folds)


def made_patients(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {f"p{i:03}": rng.integers(0, 50, 3) for i in range(n)}


def test_a_split_holds_about_the_shares_of_every_class_and_every_patient_once() -> None:
    patients = made_patients(100)
    split = patient_split(patients, validation_share=0.2, test_share=0.3, seed=0)
    assert sorted(split.train + split.validation + split.test) == sorted(patients)
    total = sum(patients.values())
    for part, share in ((split.train, 0.5), (split.validation, 0.2), (split.test, 0.3)):
        held = sum(patients[name] for name in part) / total
        assert np.abs(held - share).max() < 0.05
        assert abs(len(part) / 100 - share) < 0.1


def test_the_seed_repeats_and_changes_a_split() -> None:
    patients = made_patients(40)
    splits = [
        patient_split(patients, validation_share=0.2, test_share=0.2, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert splits[0] == splits[1] != splits[2]


def test_three_patients_are_enough_and_two_are_not() -> None:
    patients = made_patients(3)
    split = patient_split(patients, validation_share=0.1, test_share=0.1, seed=0)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [1, 1, 1]
    del patients["p000"]
    with pytest.raises(ValueError, match="2 patients"):
        patient_split(patients, validation_share=0.1, test_share=0.1, seed=0)


def test_without_a_test_share_nobody_is_tested() -> None:
    split = patient_split(made_patients(10), validation_share=0.2, test_share=0.0, seed=0)
    assert split.test == ()
