"""Models beside each other, with predictors that answer what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ectopy.ec57 import evaluate
from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES, mitdb_patient
from services.ecg.readers.files import record_from_path
from services.ecg.record import Annotations, EcgRecord
from services.errors import Cancelled, UnusableInput
from services.evaluation.report_parts import BASE, BOTH, NEW, PROMOTED, Compared
from services.models.comparison import Contender, compared
from services.models.deepecg.spec import FAMILY_SPEC as DEEPECG
from services.models.ecgbert.spec import FAMILY_SPEC as ECGBERT
from services.models.families import FAMILIES
from services.models.interface import LabelledRecord
from services.models.results import BeatResult, RiskResult
from services.training.progress import NoProgress, Progress
from tests.signals import made_ecg

ROOT = Path(__file__).resolve().parents[3]
MITDB = ROOT.parent / "shared" / "data" / "mitdb"
SHIPPED = ROOT / "services" / "models" / "shipped" / "ecgbert-beats"


def labelled(n: int) -> list[LabelledRecord]:
    """Records with a V as every third beat, and with alternating labels."""
    found = []
    for i in range(n):
        signal, peaks = made_ecg(duration_s=10, seed=i)
        symbols = tuple("V" if k % 3 == 2 else "N" for k in range(len(peaks)))
        record = EcgRecord(
            signal, ("MLII", "V1"), 360.0, name=f"r{i}", annotations=Annotations(peaks, symbols)
        )
        found.append(LabelledRecord(f"rec_{i}", f"p{i}", record, float(i % 2)))
    return found


class Knows:
    """Answers with the annotations; those of one class wrong where asked."""

    def __init__(self, labels: tuple[str, ...] = AAMI_CLASSES, *, wrong: bool = False) -> None:
        self.labels, self.wrong, self.asked = labels, wrong, 0

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> BeatResult:
        self.asked += 1
        progress.advance(0.5)
        if record.name == "r1" and self.wrong:
            raise UnusableInput("no lead can be read")
        assert record.annotations is not None
        is_v = np.array([s == "V" for s in record.annotations.symbol])
        index = is_v.astype(np.int64) * (1 if self.labels == BINARY_CLASSES else 2)
        if self.wrong:
            index[:] = 0
        n = len(index)
        return BeatResult(
            sampling_rate_hz=360.0,
            leads_used=("MLII",),
            labels=self.labels,
            sample=record.annotations.sample,
            label_index=index,
            probabilities=np.full((n, len(self.labels)), 1 / len(self.labels), np.float32),
            unreadable=np.zeros(n, bool),
        )


class Risks:
    def __init__(self, risks: Sequence[float]) -> None:
        self.risks = list(risks)

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> RiskResult:
        risk = self.risks[int(record.name[1:])]
        return RiskResult(risk, 0.0, 0.4, True, np.zeros(1), np.array([risk]))


def contender(role: str, name: str, predictor: Any, spec: Any = ECGBERT) -> Contender:
    return Contender(Compared(role, name), spec, predictor)


def test_beats_of_each_model_are_scored_and_an_unreadable_record_is_left_out_for_all() -> None:
    new, old = Knows(), Knows(wrong=True)
    models = [contender(NEW, "w@2", new), contender(PROMOTED, "w@1", old)]
    report = compared("beats", labelled(5), models, progress=NoProgress())
    assert report["records"] == 4
    assert report["left_out"] == [{"record_id": "rec_1", "reason": "no lead can be read"}]
    assert any("1 test records could not be read" in c for c in report["cautions"])
    assert [m["macro_f1"]["value"] for m in report["models"]] == [1.0, pytest.approx(0.4, abs=0.02)]
    assert report["differences"][0]["verdict"] == "better"


def test_a_model_that_is_base_and_promoted_is_asked_once() -> None:
    old = Knows()
    models = [
        contender(NEW, "w@2", Knows()),
        contender(BASE, "w@1", old),
        contender(PROMOTED, "w@1", old),
    ]
    report = compared("beats", labelled(3), models, progress=NoProgress())
    assert [m["role"] for m in report["models"]] == [NEW, BOTH]
    assert old.asked == 3


def test_a_binary_model_beside_one_of_five_classes_is_scored_on_two() -> None:
    models = [contender(NEW, "w@2", Knows(BINARY_CLASSES)), contender(BASE, "w@1", Knows())]
    report = compared("beats", labelled(3), models, progress=NoProgress())
    assert report["classes"] == list(BINARY_CLASSES)
    assert [m["macro_f1"]["value"] for m in report["models"]] == [1.0, 1.0]


def test_risks_are_scored_at_each_models_own_threshold() -> None:
    good, poor = Risks([0.1, 0.9] * 6), Risks([0.9, 0.1] * 6)
    models = [contender(NEW, "d@2", good, DEEPECG), contender(BASE, "d@1", poor, DEEPECG)]
    report = compared("afib-5y", labelled(12), models, progress=NoProgress())
    assert [m["auroc"]["value"] for m in report["models"]] == [1.0, 0.0]
    assert report["models"][0]["threshold"] == 0.4


def test_nothing_left_to_test_is_an_error_that_says_why() -> None:
    models = [contender(NEW, "w@2", Knows(wrong=True))]
    with pytest.raises(UnusableInput, match="no test record could be predicted: no lead"):
        compared("beats", labelled(2)[1:], models, progress=NoProgress())


def test_a_comparison_can_be_stopped() -> None:
    class Stop(NoProgress):
        def check_cancelled(self) -> None:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        compared("beats", labelled(2), [contender(NEW, "w@2", Knows())], progress=Stop())


@pytest.mark.skipif(not MITDB.is_dir(), reason="needs MIT-BIH records in ../shared/data/mitdb")
def test_figures_of_real_records_are_those_that_ec57_prints() -> None:
    names = ("100", "202", "233")
    predictor = FAMILIES["ecgbert"].load(SHIPPED, device="cpu")
    records = [record_from_path(MITDB / name) for name in names]
    held = [LabelledRecord(r.name, mitdb_patient(r.name), r) for r in records]
    report = compared(
        "beats", held, [contender(NEW, "ecgbert-beats@1", predictor)], progress=NoProgress()
    )
    table = evaluate(MITDB, predictor, names).tables[0]
    assert (table.start_s, table.classification is not None) == (0.0, True)
    model = report["models"][0]
    assert table.classification is not None
    assert model["confusion"]["counts"] == [list(row) for row in table.classification.confusion]
    for ours, theirs in zip(model["per_class"], table.classification.classes, strict=True):
        for name, figure in (("sensitivity", theirs.sensitivity), ("f1", theirs.f1)):
            if np.isfinite(figure.gross):
                found = ours[name]
                assert (found["value"], found["low"], found["high"]) == (
                    figure.gross,
                    figure.low,
                    figure.high,
                )
    detection = model["detection"]["sensitivity"]
    assert detection["value"] == table.detection_sensitivity.gross
    assert detection["low"] == table.detection_sensitivity.low
