"""The model that comes with Ectopy, on real signals: a constant answer must fail here."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import wfdb

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import EcgRecord
from services.evaluation import beats as ec57
from services.models.ecgbert.inference import BeatPredictor
from services.models.ecgbert.training_set import read_mitdb_record
from services.models.families import FAMILIES
from services.models.results import BeatResult
from services.training.progress import NoProgress

FOLDER = Path(str(files("services.models"))) / "shipped" / "ecgbert-beats"
ROOT = Path(__file__).resolve().parents[4]
SAMPLE = ROOT / "examples" / "208_excerpt"
MITDB = ROOT.parent / "shared" / "data" / "mitdb"
N, S, V = (AAMI_CLASSES.index(name) for name in "NSV")


@pytest.fixture(scope="module")
def predictor() -> BeatPredictor:
    loaded = FAMILIES["ecgbert"].load(FOLDER, device="cpu")
    assert isinstance(loaded, BeatPredictor)
    return loaded


def predicted(predictor: BeatPredictor, record: EcgRecord) -> BeatResult:
    return predictor.predict(record, options={}, progress=NoProgress())


def test_it_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_the_sample_record_has_many_normal_and_many_ventricular_beats(
    predictor: BeatPredictor,
) -> None:
    stored = wfdb.rdrecord(str(SAMPLE))
    signal = np.ascontiguousarray(stored.p_signal.T, dtype=np.float32)
    result = predicted(predictor, EcgRecord(signal, ("MLII",), float(stored.fs)))
    counts = result.counts()
    assert counts["N"] > 0.3 * len(result.sample)
    assert counts["V"] > 0.1 * len(result.sample)


@pytest.mark.parametrize("name", ["119", "208"])
def test_ventricular_beats_of_a_known_record_are_told_from_normal_ones(
    predictor: BeatPredictor, name: str
) -> None:
    if not (MITDB / f"{name}.dat").is_file():
        pytest.skip("needs the MIT-BIH records beside the repository")
    record = read_mitdb_record(MITDB, name)
    assert record.annotations is not None
    result = predicted(predictor, record)
    matrix = ec57.record_confusion(
        record.annotations,
        ec57.LabelledBeats(result.sample, result.label_index),
        sampling_rate_hz=record.sampling_rate_hz,
    )
    # almost all fusion beats of DS1 are those of 208, and no other patient teaches them: left out
    told = ec57.without_reference(matrix, ("F", "Q"))
    assert ec57.f1(told)[[N, V]].min() > 0.9
