from __future__ import annotations

import numpy as np
import pytest

from services.training.splits import patient_folds

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
