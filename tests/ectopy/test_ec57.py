import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from ectopy.ec57 import evaluate, evaluate_detection, print_ec57, spread_text
from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import EcgRecord, IntArray
from services.errors import NotFound, UnusableInput
from services.evaluation.beats import reference_beats
from services.models.results import BeatResult
from services.training.progress import Progress
from tests.signals import made_ecg


def result(
    record: EcgRecord, sample: IntArray, label: IntArray, labels: tuple[str, ...]
) -> BeatResult:
    return BeatResult(
        sampling_rate_hz=record.sampling_rate_hz,
        leads_used=record.lead_names,
        labels=labels,
        sample=sample,
        label_index=label,
        probabilities=np.eye(len(labels), dtype=np.float32)[label],
        unreadable=np.zeros(len(sample), dtype=bool),
    )


class Oracle:
    """Knows the annotations; answers in another order of classes."""

    labels = ("V", "N", "S", "F", "Q")

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> BeatResult:
        assert record.annotations is not None
        return self.predict_at(
            record, reference_beats(record.annotations).sample, progress=progress
        )

    def predict_at(self, record: EcgRecord, r_peaks: IntArray, *, progress: Progress) -> BeatResult:
        assert record.annotations is not None
        reference = reference_beats(record.annotations)
        assert r_peaks.tolist() == reference.sample.tolist()
        names = [AAMI_CLASSES[index] for index in reference.label]
        label = np.array([self.labels.index(name) for name in names])
        return result(record, r_peaks, label, self.labels)


class AlwaysN:
    """Answers N for every beat, at its own R peaks only."""

    labels = AAMI_CLASSES

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> BeatResult:
        assert record.annotations is not None
        sample = reference_beats(record.annotations).sample
        return result(record, sample, np.zeros(len(sample), dtype=np.int64), self.labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, seed in (("100", 1), ("202", 2)):
        signal, peaks = made_ecg(duration_s=40.0, seed=seed)
        wfdb.wrsamp(
            name,
            fs=360,
            units=["mV", "mV"],
            sig_name=["MLII", "V1"],
            p_signal=signal.T.astype(np.float64),
            fmt=["16", "16"],
            write_dir=str(tmp_path),
        )
        symbols = np.array(["V" if i % 7 == 3 else "N" for i in range(len(peaks))])
        symbols[5] = "A"
        wfdb.wrann(name, "atr", peaks, symbol=symbols, write_dir=str(tmp_path))
    return tmp_path


def test_a_perfect_model_scores_100_whatever_the_order_of_its_labels(folder: Path) -> None:
    made = evaluate(folder, Oracle(), ["100", "202"])
    assert made.titles[:2] == ("All records, from minute 0", "Without 202, from minute 0")
    assert made.tables[0].classification is not None
    assert made.tables[0].classification.macro_f1["N S V"].gross == 1.0
    assert made.tables[0].detection_sensitivity.gross == 1.0
    assert made.tables[1].records == ("100",)


def test_annotated_peaks_are_handed_to_a_model_that_takes_them(folder: Path) -> None:
    made = evaluate(folder, Oracle(), ["100"], annotated_peaks=True)
    assert made.tables[0].classification is not None
    assert made.tables[0].classification.accuracy == 1.0


def test_a_model_that_cannot_take_peaks_says_so(folder: Path) -> None:
    with pytest.raises(UnusableInput, match="annotated"):
        evaluate(folder, AlwaysN(), ["100"], annotated_peaks=True)


def test_a_constant_answer_fails(folder: Path) -> None:
    made = evaluate(folder, AlwaysN(), ["100"]).tables[0].classification
    assert made is not None
    assert made.macro_f1["N S V"].gross < 0.35


def test_classes_of_another_kind_are_refused(folder: Path) -> None:
    model = AlwaysN()
    model.labels = ("normal", "abnormal")
    with pytest.raises(UnusableInput, match="abnormal"):
        evaluate(folder, model, ["100"])


def test_detection_alone_needs_no_model(folder: Path) -> None:
    made = evaluate_detection(folder, ["100", "202"])
    assert made.tables[0].detection_sensitivity.gross == 1.0
    assert made.tables[0].detection_predictivity.gross == 1.0
    assert made.tables[0].classification is None


def test_a_missing_record_is_named(folder: Path) -> None:
    with pytest.raises(NotFound, match="999"):
        evaluate_detection(folder, ["999"])


def test_a_record_without_annotations_is_named(folder: Path) -> None:
    (folder / "100.atr").unlink()
    with pytest.raises(UnusableInput, match="100 has no annotations"):
        evaluate_detection(folder, ["100"])


def test_the_tables_are_printed_and_written_as_json(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "ec57.json"
    print_ec57(evaluate(folder, Oracle(), ["100", "202"]), json_path=target)
    printed = capsys.readouterr().out
    assert "Without 202, from minute 5" in printed
    written = json.loads(target.read_text())
    assert written["tables"][0]["title"] == "All records, from minute 0"
    assert written["tables"][0]["classification"]["confusion"][2][2] > 0


def test_mistakes_are_told_record_by_record(folder: Path) -> None:
    text = evaluate(folder, AlwaysN(), ["100", "202"]).as_text()
    assert "By record" in text
    assert [line for line in text.splitlines() if line.strip().startswith("100")]


def test_several_models_are_given_as_mean_and_spread(folder: Path) -> None:
    good, bad = (evaluate(folder, model, ["100", "202"]) for model in (Oracle(), AlwaysN()))
    text = spread_text([good, bad])
    assert "over 2 models" in text
    assert "50.0 ± 50.0" in text
