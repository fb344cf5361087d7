import json

import numpy as np
import pytest

from services.ecg.record import IntArray
from services.evaluation.report import RecordScore, table
from services.evaluation.report_text import table_text


def score(record: str, cells: dict[tuple[int, int], int], *, patient: str = "") -> RecordScore:
    matrix: IntArray = np.zeros((6, 6), dtype=np.int64)
    for cell, count in cells.items():
        matrix[cell] = count
    return RecordScore(record, patient or record, matrix)


GOOD = score("100", {(0, 0): 95, (0, 5): 5, (1, 1): 10})
POOR = score("200", {(0, 0): 280, (0, 1): 20, (1, 0): 150, (1, 1): 150, (5, 2): 6, (2, 2): 4})


def test_gross_and_average_differ_as_they_should() -> None:
    made = table([GOOD, POOR], start_s=0.0)
    assert made.n_beats == 110 + 604
    assert made.detection_sensitivity.gross == pytest.approx(709 / 714)
    assert made.detection_sensitivity.average == pytest.approx((105 / 110 + 1) / 2)
    assert made.detection_predictivity.gross == pytest.approx(709 / 715)
    assert made.classification is not None
    s_row = made.classification.classes[1]
    assert (s_row.name, s_row.n_beats) == ("S", 310)
    assert s_row.sensitivity.gross == pytest.approx(160 / 310)
    assert s_row.sensitivity.average == pytest.approx(0.75)


def test_an_interval_surrounds_the_gross_figure() -> None:
    figure = table([GOOD, POOR], start_s=0.0).detection_sensitivity
    assert figure.low < figure.gross < figure.high
    assert table([GOOD, POOR], start_s=0.0).detection_sensitivity == figure


def test_a_class_that_rests_on_one_record_or_few_beats_is_cautioned() -> None:
    others = [score(str(i), {(1, 1): 10, (0, 0): 50}) for i in range(5)]
    cautions = table([POOR, *others], start_s=0.0).cautions
    assert "V: only 4 beats of 1 patients" in cautions
    assert any(
        caution.startswith("S: record 200 holds 300 of the 350 beats; without it Se 100.0")
        for caution in cautions
    )


def test_the_three_class_figure_leaves_fusion_beats_out() -> None:
    fusion = score("208", {(0, 0): 50, (2, 2): 50, (1, 1): 50, (3, 2): 50})
    made = table([fusion], start_s=0.0).classification
    assert made is not None
    assert made.three_class_macro_f1.gross == pytest.approx(1.0)
    assert made.macro_f1["N S V"].gross == pytest.approx((1 + 1 + 2 / 3) / 3)


def test_detection_alone_has_no_classes() -> None:
    made = table([GOOD], start_s=300.0, with_classes=False)
    assert made.classification is None
    assert "macro" not in table_text(made, title="Peaks")


def test_the_json_is_plain_and_has_null_for_what_does_not_exist() -> None:
    made = json.loads(json.dumps(table([GOOD], start_s=0.0).as_json(), allow_nan=False))
    v_row = made["classification"]["classes"][2]
    assert v_row["name"] == "V"
    assert v_row["f1"]["gross"] is None
    assert made["classification"]["confusion"][0] == [95, 0, 0, 0, 0, 5]
    assert made["records"] == ["100"]


def test_the_text_shows_figures_matrix_and_worst_record() -> None:
    text = table_text(table([GOOD, POOR], start_s=300.0), title="All records")
    lines = text.splitlines()
    assert lines[0] == "All records"
    assert "from 5 min" in lines[2]
    assert any(line.startswith("QRS  Se 99.30 [") for line in lines)
    assert any("200 Se 100.00 +P 99.02 (0 missed, 6 false)" in line for line in lines)
    s_counts = next(line.split() for line in lines if line.split()[:2] == ["S", "150"])
    assert s_counts == ["S", "150", "160", "0", "0", "0", "0"]
    assert all(len(line) == len(line.rstrip()) for line in lines)


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        table([], start_s=0.0)
