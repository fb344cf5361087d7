"""The report of beat labels, on matrices that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from services.ecg.record import Annotations, IntArray
from services.evaluation.beat_report import BeatsTested, beat_report, binary_matrix, matrix_of
from services.evaluation.beats import LabelledBeats
from services.evaluation.report import RecordScore, table
from services.evaluation.report_parts import BASE, NEW, PROMOTED, Compared, worse_than

GOOD, POOR = Compared(NEW, "ward@2"), Compared(PROMOTED, "ward@1")


def matrix(
    seed: int, *, right: float = 0.9, beats: tuple[int, ...] = (400, 60, 80, 0, 0)
) -> IntArray:
    """Beats of each class, a share of them right, the others called N or V, some missed."""
    generator = np.random.default_rng(seed)
    made: IntArray = np.zeros((6, 6), dtype=np.int64)
    for row, n in enumerate(beats):
        split = [right, 0.7 * (1 - right), 0.3 * (1 - right)]
        hit, wrong, missed = generator.multinomial(n, split)
        made[row, row] += hit
        made[row, 2 if row == 0 else 0] += wrong
        made[row, 5] += missed
    made[5, 0] = generator.integers(0, 5)
    return made


def answered(n: int = 12, *, worse: float = 0.9) -> list[BeatsTested]:
    return [
        BeatsTested(f"rec_{i}", str(i), f"p{i // 2}", (matrix(i), matrix(i + 100, right=worse)))
        for i in range(n)
    ]


def test_figures_and_intervals_are_those_of_ec57() -> None:
    records = answered()
    report = beat_report([GOOD, POOR], records)
    expected = table([RecordScore(r.name, r.patient, r.matrices[0]) for r in records], start_s=0.0)
    found = report["models"][0]
    gross = expected.detection_sensitivity
    assert found["detection"]["sensitivity"] == {
        "value": gross.gross,
        "low": gross.low,
        "high": gross.high,
    }
    assert expected.classification is not None
    for row, ours in zip(expected.classification.classes, found["per_class"], strict=True):
        assert (row.name, row.n_beats) == (ours["label"], ours["beats"])
        for theirs, name in (
            (row.sensitivity, "sensitivity"),
            (row.predictivity, "positive_predictivity"),
            (row.f1, "f1"),
        ):
            assert ours[name]["value"] == pytest.approx(theirs.gross, nan_ok=True) or (
                ours[name]["value"] is None and np.isnan(theirs.gross)
            )
            if np.isfinite(theirs.low):
                assert (ours[name]["low"], ours[name]["high"]) == (theirs.low, theirs.high)
    macro = expected.classification.macro_f1["N S V"]
    assert found["macro_f1"]["value"] == pytest.approx(macro.gross)
    assert found["confusion"]["counts"] == [list(r) for r in expected.classification.confusion]
    assert report["beats"] == expected.n_beats


def test_a_model_that_is_worse_beyond_chance_is_told_and_one_that_is_not_is_not() -> None:
    worse = beat_report(
        [Compared(NEW, "ward@2"), POOR],
        [
            BeatsTested(r.record_id, r.name, r.patient, (r.matrices[1], r.matrices[0]))
            for r in answered(worse=0.6)
        ],
    )
    found = worse_than(worse, "ward@1")
    assert found is not None
    assert found["difference"]["high"] < 0
    assert worse_than(worse, "other@1") is None
    assert worse_than(beat_report([GOOD, POOR], answered()), "ward@1") is None
    better = beat_report([GOOD, POOR], answered(worse=0.6))
    assert better["differences"][0]["verdict"] == "better"


def test_a_report_is_plain_json_even_where_nothing_can_be_said() -> None:
    empty: IntArray = np.zeros((6, 6), dtype=np.int64)
    report = beat_report([GOOD], [BeatsTested("r", "r", "p", (empty,))])
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text)["models"][0]["macro_f1"] == {"value": None, "low": None, "high": None}
    assert any("S: no beat of this class" in caution for caution in report["cautions"])
    assert any("only 1 patients" in caution for caution in report["cautions"])


def test_a_model_that_knows_the_test_is_cautioned() -> None:
    base = Compared(BASE, "ecgbert-beats@1", trained_on=frozenset({"rec_3", "rec_other"}))
    report = beat_report([GOOD, base], answered())
    assert report["models"][1]["trained_on"] == ["rec_3"]
    assert any("ecgbert-beats@1 (base) was trained on 1 of the 12" in c for c in report["cautions"])


def test_binary_figures_merge_every_class_but_n() -> None:
    records = answered()
    merged = [
        BeatsTested(r.record_id, r.name, r.patient, tuple(map(binary_matrix, r.matrices)))
        for r in records
    ]
    report = beat_report([GOOD, POOR], merged, binary=True)
    assert report["classes"] == ["normal", "abnormal"]
    total = sum(r.matrices[0] for r in records)
    assert report["models"][0]["per_class"][1]["beats"] == int(total[1:5].sum())
    assert report["beats"] == int(total[:5].sum())
    right = total[1:5, 1:5].sum()
    assert report["models"][0]["per_class"][1]["sensitivity"]["value"] == pytest.approx(
        right / total[1:5].sum()
    )


def test_a_binary_answer_is_scored_against_aami_annotations() -> None:
    annotations = Annotations(np.array([100, 500, 900, 1300]), ("N", "V", "A", "N"))
    answer = LabelledBeats(np.array([101, 498, 900]), np.array([0, 1, 0]))
    made = matrix_of(annotations, answer, sampling_rate_hz=360.0, binary=True)
    assert made[0].tolist() == [1, 0, 0, 0, 0, 1]
    assert made[1].tolist() == [1, 1, 0, 0, 0, 0]
