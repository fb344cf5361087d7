import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from ectopy import default_card
from ectopy.cli import app
from ectopy.default_card import holds_all, write_test
from services.models.ecgbert import default_model
from services.models.ecgbert.default_model import train_default
from services.training.progress import NoProgress
from tests.services.models.ecgbert.tiny import QUICK, write_record

TRAINED_ON = ("101", "106", "108", "109")
TESTED_ON = ("100", "103")


@pytest.fixture(scope="module")
def mitdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mitdb")
    for seed, name in enumerate((*TRAINED_ON, *TESTED_ON)):
        write_record(folder, name, seed=seed)
    return folder


@pytest.fixture(scope="module")
def models(mitdb: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    first, second = (tmp_path_factory.mktemp("models") / name for name in ("first", "second"))
    train_default(mitdb, first, progress=NoProgress(), recipe=QUICK, records=TRAINED_ON)
    train_default(
        mitdb, second, seed=1, progress=NoProgress(), recipe=QUICK, records=TRAINED_ON,
        calibrated_as=first,
    )  # fmt: skip
    return [first, second]


def test_the_card_tells_figures_tables_and_spread(mitdb: Path, models: list[Path]) -> None:
    weights = (models[0] / "weights.safetensors").read_bytes()
    before = json.loads((models[0] / "card.json").read_text())
    own = write_test(models, mitdb, progress=NoProgress(), records=TESTED_ON)
    card = json.loads((models[0] / "card.json").read_text())

    figures = card["metrics"]["ds2"]["own_r_peaks"]
    matrix = sum(each.matrix for each in own[0].records)
    assert np.array_equal(figures["confusion"], matrix)
    assert figures["f1"]["V"] > 80
    assert set(figures["f1_by_record"]) == set(TESTED_ON)
    assert own[0].as_text() in card["test_report"]
    assert "over 2 models" in card["seeds"]
    text = (models[0] / "CARD.md").read_text()
    assert "## DS2 in full" in text
    assert "seeds on DS2" in text

    assert {key: card[key] for key in before if key != "metrics"} == {
        key: value for key, value in before.items() if key != "metrics"
    }
    assert card["metrics"]["cross_validation_ds1"] == before["metrics"]["cross_validation_ds1"]
    assert (models[0] / "weights.safetensors").read_bytes() == weights


def test_one_model_has_no_spread(mitdb: Path, models: list[Path]) -> None:
    write_test(models[:1], mitdb, progress=NoProgress(), records=TESTED_ON)
    assert "seeds" not in json.loads((models[0] / "card.json").read_text())


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the command does, with records and recipe made small and the test left out."""
    events: list[tuple[object, ...]] = []

    def train(mitdb: Path, out: Path, **given: Any) -> object:
        events.append((out.name, given["seed"], given["calibrated_as"]))
        return train_default(mitdb, out, recipe=QUICK, records=TRAINED_ON, **given)

    def test(folders: list[Path], *_: object, **__: object) -> None:
        events.append(("tested", *((folder.name, folder.is_dir()) for folder in folders)))

    monkeypatch.setattr(default_model, "train_default", train)
    monkeypatch.setattr(default_card, "write_test", test)
    return events


def command(mitdb: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(
        app, ["train-default", "--mitdb", f"{mitdb}", "--out", f"{out}", *more]
    )


def test_ds2_is_opened_after_all_seeds_are_trained(
    mitdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happened: list[tuple[object, ...]]
) -> None:
    monkeypatch.setattr(default_card, "holds_all", lambda _: True)
    out = tmp_path / "model"
    answer = command(mitdb, out, "--seeds", "2")
    assert answer.exit_code == 0, answer.output
    assert happened == [
        ("model", 0, None),
        ("seed1", 1, out),
        ("tested", ("model", True), ("seed1", True)),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (out / "training_beats.npz").is_file()


def test_a_folder_without_ds2_is_enough_for_one_seed(
    mitdb: Path, tmp_path: Path, happened: list[tuple[object, ...]]
) -> None:
    assert command(mitdb, tmp_path / "model", "--seeds", "2").exit_code != 0
    assert happened == []
    assert command(mitdb, tmp_path / "model").exit_code == 0
    assert happened == [("model", 0, None)]


def test_a_folder_holds_a_database_when_it_has_every_record(mitdb: Path) -> None:
    assert holds_all(mitdb, TESTED_ON)
    assert not holds_all(mitdb)
