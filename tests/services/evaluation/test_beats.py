import numpy as np
import pytest

from services.ecg.record import Annotations, IntArray
from services.evaluation import beats
from services.evaluation.beats import LabelledBeats, record_confusion

N, S, V, F, Q = range(5)


def annotated(*marks: tuple[int, str]) -> Annotations:
    return Annotations(
        np.array([sample for sample, _ in marks], dtype=np.int64),
        tuple(symbol for _, symbol in marks),
    )


def answered(*answers: tuple[int, int]) -> LabelledBeats:
    samples, labels = (np.array(column, np.int64) for column in zip(*answers, strict=True))
    return LabelledBeats(samples, labels)


def matrix_of(**cells: int) -> IntArray:
    """`NV=3` is three N beats answered V; `x` is the row of false, the column of missed."""
    names = "NSVFQx"
    matrix = np.zeros((6, 6), dtype=np.int64)
    for name, count in cells.items():
        matrix[names.index(name[0]), names.index(name[1])] = count
    return matrix


def test_each_beat_lands_in_its_cell() -> None:
    reference = annotated((100, "N"), (500, "A"), (900, "V"), (1300, "L"), (1700, "/"))
    found = answered((101, N), (510, V), (905, V), (1500, S), (1690, Q))
    matrix = record_confusion(reference, found, sampling_rate_hz=360.0)
    np.testing.assert_array_equal(matrix, matrix_of(NN=1, SV=1, VV=1, Nx=1, QQ=1, xS=1))


def test_marks_that_are_no_beats_are_not_scored() -> None:
    reference = annotated((50, "+"), (100, "N"), (300, "~"), (600, "|"))
    matrix = record_confusion(reference, answered((100, N)), sampling_rate_hz=360.0)
    np.testing.assert_array_equal(matrix, matrix_of(NN=1))


def test_flutter_is_left_out_with_what_was_detected_in_it() -> None:
    reference = annotated((100, "N"), (500, "["), (700, "V"), (900, "]"), (1300, "N"))
    found = answered((100, N), (600, V), (705, V), (800, V), (1300, N))
    matrix = record_confusion(reference, found, sampling_rate_hz=360.0)
    np.testing.assert_array_equal(matrix, matrix_of(NN=2))


def test_scoring_can_begin_at_a_later_minute() -> None:
    reference = annotated((100, "N"), (4000, "V"), (8000, "N"))
    found = answered((100, N), (300, S), (4010, V), (6000, V))
    matrix = record_confusion(reference, found, sampling_rate_hz=360.0, start_s=10.0)
    np.testing.assert_array_equal(matrix, matrix_of(VV=1, Nx=1, xV=1))


def test_a_pair_across_the_start_counts_as_found() -> None:
    reference, found = annotated((3605, "N")), answered((3590, N))
    matrix = record_confusion(reference, found, sampling_rate_hz=360.0, start_s=10.0)
    np.testing.assert_array_equal(matrix, matrix_of(NN=1))


def test_detection_ignores_the_classes() -> None:
    matrix = matrix_of(NN=90, NV=4, VV=3, Vx=3, xN=2, xS=1)
    assert beats.detection_sensitivity(matrix) == pytest.approx(97 / 100)
    assert beats.detection_predictivity(matrix) == pytest.approx(97 / 100)


def test_missed_beats_and_false_detections_count_against_their_class() -> None:
    matrix = matrix_of(NN=90, NV=4, VV=6, VN=2, Vx=2, xV=2)
    assert beats.sensitivity(matrix)[V] == pytest.approx(6 / 10)
    assert beats.positive_predictivity(matrix)[V] == pytest.approx(6 / 12)
    assert beats.f1(matrix)[V] == pytest.approx(2 * 6 / 22)
    assert beats.accuracy(matrix) == pytest.approx(96 / 102)


def test_a_class_that_is_always_missed_has_an_f1_of_zero_and_an_absent_one_none() -> None:
    f1 = beats.f1(matrix_of(NN=10, SN=3))
    assert f1[S] == 0
    assert np.isnan(f1[V])


def test_a_constant_answer_is_not_rewarded() -> None:
    constant = matrix_of(NN=890, SN=40, VN=60, FN=10)
    assert beats.accuracy(constant) == pytest.approx(0.89)
    assert beats.macro_f1(constant, ("N", "S", "V")) == pytest.approx(0.314, abs=1e-3)


def test_ec57_forgives_fusion_beats_called_v_but_nothing_else() -> None:
    matrix = matrix_of(VV=80, FV=15, QV=5, NV=20, QS=4, SS=16)
    assert beats.positive_predictivity(matrix)[V] == pytest.approx(80 / 120)
    assert beats.aami_predictivity(matrix, "V") == pytest.approx(80 / 100)
    assert beats.aami_predictivity(matrix, "S") == pytest.approx(1.0)


def test_the_average_leaves_out_records_without_the_class() -> None:
    per_record = np.array([[0.5, np.nan], [1.0, np.nan]])
    np.testing.assert_array_equal(beats.average(per_record), [0.75, np.nan])


def test_records_of_one_patient_are_drawn_together() -> None:
    matrices = np.stack([matrix_of(NN=1), matrix_of(SS=1), matrix_of(VV=1)])
    drawn = beats.resampled_by_patient(matrices, ["a", "a", "b"], draws=200, seed=1)
    assert drawn.shape == (200, 6, 6)
    np.testing.assert_array_equal(drawn[:, N, N], drawn[:, S, S])
    np.testing.assert_array_equal(drawn[:, N, N] + drawn[:, V, V], 2)
    assert len(np.unique(drawn[:, N, N])) == 3


def test_the_same_seed_draws_the_same() -> None:
    matrices = np.stack([matrix_of(NN=i) for i in range(9)])
    patients = [str(i) for i in range(9)]
    one, same, other = (
        beats.resampled_by_patient(matrices, patients, draws=20, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_an_interval_holds_the_middle_of_the_draws() -> None:
    low, high = beats.interval(np.append(np.linspace(0, 1, 1001), np.nan))
    assert (low, high) == pytest.approx((0.025, 0.975))
    assert np.isnan(beats.interval(np.array([np.nan]))).all()


def test_labels_and_samples_must_match() -> None:
    with pytest.raises(ValueError, match="as many"):
        LabelledBeats(np.array([1, 2]), np.array([0]))
