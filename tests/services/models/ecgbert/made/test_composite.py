from __future__ import annotations

import numpy as np

from services.models.ecgbert.made.composite import Answers, composite

LABEL = np.repeat([0, 1, 2], [60, 20, 20])


def answers(answer: np.ndarray, patient: str = "101", trial: str = "annotated") -> Answers:
    return Answers(trial, patient, LABEL, answer)


def test_right_answers_have_all_of_it_and_a_constant_answer_nothing() -> None:
    trials = ("annotated", "early_beats")
    right = composite(answers(LABEL, trial=trial) for trial in trials)
    constant = composite(answers(np.zeros_like(LABEL), trial=trial) for trial in trials)
    assert right["composite"] == 100.0
    assert constant["composite"] == 0.0


def test_a_patient_with_a_thousand_beats_counts_no_more_than_one_with_ten() -> None:
    many = np.ones(1000, dtype=np.int64)
    few = np.ones(10, dtype=np.int64)
    found = composite(
        [Answers("annotated", "1", many, many), Answers("annotated", "2", few, 0 * few)]
    )
    assert found["trials"]["annotated"]["s_balanced"] == round(200 / 3, 1)
    assert found["trials"]["annotated"]["s"] > 99


def test_false_beats_of_one_patient_count_up_to_a_limit() -> None:
    alone = np.ones(60, dtype=np.int64)
    wrong = Answers("annotated", "2", np.zeros(5000, dtype=np.int64), np.ones(5000, dtype=np.int64))
    found = composite([Answers("annotated", "1", alone, alone), wrong])
    assert found["trials"]["annotated"]["s_balanced"] == round(200 * 60 / (2 * 60 + 200), 1)


def test_calling_ordinary_beats_ectopic_costs_where_there_is_no_ectopy() -> None:
    label = np.zeros(100, dtype=np.int64)
    called = label.copy()
    called[:2] = 1
    base = answers(LABEL)
    good = composite([base, Answers("no_ectopy", "1", label, label)])
    bad = composite([base, Answers("no_ectopy", "1", label, called)])
    assert good["made"] == 100.0
    assert bad["made"] < 96.0
