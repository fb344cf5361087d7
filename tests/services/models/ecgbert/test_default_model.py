"""The whole making of a model, on small made records in place of MIT-BIH's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb

from services.ecg.record import EcgRecord
from services.errors import UnusableInput
from services.evaluation import beats as ec57
from services.models.ecgbert.default_model import train_default
from services.models.ecgbert.robustness import CHANGES, robustness, robustness_text
from services.models.families import FAMILIES
from services.training.progress import NoProgress
from tests.services.models.ecgbert.tiny import QUICK, write_record

NAMES = ("101", "106", "108", "109")


@pytest.fixture(scope="module")
def mitdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mitdb")
    for seed, name in enumerate(NAMES):
        write_record(folder, name, seed=seed)
    return folder


def train(mitdb: Path, out: Path, seed: int = 0) -> dict[str, object]:
    return train_default(mitdb, out, seed=seed, progress=NoProgress(), recipe=QUICK, records=NAMES)


def test_a_model_is_made_that_tells_wide_beats_of_an_unseen_record(
    mitdb: Path, tmp_path: Path
) -> None:
    card = train(mitdb, tmp_path / "model")
    assert card["training_records"] == list(NAMES)
    predictor = FAMILIES["ecgbert"].load(tmp_path / "model", device="cpu")
    write_record(tmp_path, "999", seed=99)
    record = wfdb.rdrecord(str(tmp_path / "999"))

    result = predictor.predict(
        EcgRecord(record.p_signal.T.astype(np.float32), ("MLII", "V1"), 360.0),
        options={},
        progress=NoProgress(),
    )
    expected = np.isin(np.arange(len(result.sample)), range(3, len(result.sample) - 1, 5))
    assert ((result.label_index == 2) == expected).mean() > 0.9


def test_the_same_seed_makes_the_same_files(mitdb: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        train(mitdb, tmp_path / name, seed=3)
    for file in ("weights.safetensors", "clusters.npz", "card.json", "CARD.md"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_a_missing_record_is_named(mitdb: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"207\.hea is not in the folder"):
        train_default(mitdb, tmp_path, progress=NoProgress(), recipe=QUICK, records=(*NAMES, "207"))
    assert not list(tmp_path.iterdir())


def test_another_seed_may_take_the_calibration_of_the_first(mitdb: Path, tmp_path: Path) -> None:
    train(mitdb, tmp_path / "first")
    card = train_default(
        mitdb,
        tmp_path / "second",
        seed=1,
        progress=NoProgress(),
        recipe=QUICK,
        records=NAMES,
        calibrated_as=tmp_path / "first",
    )
    first = json.loads((tmp_path / "first" / "card.json").read_text())
    assert card["calibration"] == first["calibration"]
    assert card["metrics"] == {}
    one, other = (tmp_path / name / "weights.safetensors" for name in ("first", "second"))
    assert one.read_bytes() != other.read_bytes()


def test_left_out_records_are_also_tried_in_pieces_and_made_rhythms(
    mitdb: Path, tmp_path: Path
) -> None:
    trials = train(mitdb, tmp_path / "model")["trials_ds1"]
    assert isinstance(trials, dict)
    assert {"annotated", "detected", "1 min", "thinned"} <= set(trials["trials"])
    assert trials["trials"]["detected"]["v"] > 80


def test_left_out_records_are_read_on_one_lead_at_another_rate_and_in_noise(mitdb: Path) -> None:
    chosen = ("both leads", "lead 2 alone", "250 Hz", "noise 6 dB", "pieces of 1 min")
    found = robustness(
        mitdb,
        progress=NoProgress(),
        recipe=QUICK,
        records=NAMES,
        changes={name: CHANGES[name] for name in chosen},
    )
    n_beats = {name: matrix[:5].sum() for name, matrix in found.items()}
    assert set(n_beats.values()) == {n_beats["both leads"]}
    assert ec57.f1(found["both leads"])[2] > 0.8
    assert ec57.f1(found["250 Hz"])[2] > 0.8
    assert not np.array_equal(found["noise 6 dB"], found["both leads"])
    assert "| lead 2 alone |" in robustness_text(found)
