"""From a published file that waits in the store to a version that answers, or to nothing at all."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.errors import Unavailable, UnusableInput
from services.imports import files, service
from services.imports.files import IncomingFile
from services.imports.row import ModelImportRow
from services.imports.runner import ImportRunner
from services.jobs import lifecycle
from services.jobs.execution import execute
from services.models.deepecg.importing import import_public
from services.models.deepecg.inference import SYNTHETIC_NOTE
from services.predictions.service import PredictionRequest, begun
from services.registry import service as registry
from services.registry.files import version_files, version_folder
from services.settings import Settings
from services.storage.base import Store
from services.storage.factory import store_for
from services.training.progress import NoProgress
from tests.conftest import forget_model
from tests.factories import record_row
from tests.services.models.deepecg.small import (
    SMALL,
    base_tensors,
    classifier_tensors,
    saved,
    small_network,
    twelve_lead_record,
)
from tests.services.models.deepecg.test_family import trained_tensors
from worker.predictors import LoadedPredictors

NAMES = ("deepecg-afib-5y", "deepecg-base-ssl", "own-risk")
OWN = DEFAULT_PROJECT
Import = Callable[..., ModelImportRow]


@pytest.fixture
def store(settings: Settings) -> Store:
    return store_for(settings)


@pytest.fixture
def bring(sessions: SessionFactory, store: Store) -> Iterator[Import]:
    """Brings a file in and runs its job here, as a worker would, with a small network."""
    importers = {"afib-5y": partial(import_public, config=SMALL)}
    runner = ImportRunner(sessions, store, importers, tempfile.TemporaryDirectory)

    def bring(file: Path, name: str | None = None) -> ModelImportRow:
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        incoming = [IncomingFile(file.name, file, sha256)]
        import_id = service.new_import_id()
        files.put(store, import_id, incoming)
        with sessions.begin() as session:
            row = service.create(
                session, OWN, incoming, task="afib-5y", name=name, import_id=import_id
            )
        with sessions.begin() as session:
            claim = lifecycle.claim(session, row.job_id, worker="here", lease_s=60)
        assert claim is not None
        execute(sessions, claim, runner, threading.Event())
        with sessions() as session:
            service.discard_if_ended(session, store, import_id)
            return service.get(session, OWN, import_id)

    yield bring
    with sessions.begin() as session:
        for name in NAMES:
            forget_model(session, name)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Stands for the published file: its weights do not look drawn."""
    return saved(tmp_path / "wcr_afib_5y.pt", trained_tensors())


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    return saved(tmp_path / "formula.pt", classifier_tensors(small_network()))


def kept(settings: Settings) -> list[str]:
    """Files in the store."""
    found = [path for path in settings.store_dir.rglob("*") if path.is_file()]
    return sorted(path.name for path in found)


def test_a_published_file_answers_at_once(
    bring: Import, trained: Path, sessions: SessionFactory, settings: Settings
) -> None:
    row = bring(trained)
    assert (row.job.status, row.model_name, row.model_version) == (
        "succeeded",
        "deepecg-afib-5y",
        1,
    )
    with sessions() as session:
        version = registry.resolve(session, OWN, "afib-5y", None)
    assert (version.name, version.synthetic) == ("deepecg-afib-5y", False)
    assert version.location == f"store:models/{row.id}"
    assert kept(settings) == ["card.json", "weights.safetensors"]


def test_the_version_predicts_what_the_network_gives(
    bring: Import, trained: Path, sessions: SessionFactory, store: Store
) -> None:
    bring(trained)
    with sessions() as session:
        version = registry.resolve(session, OWN, "afib-5y", None)
    predictors = LoadedPredictors(store, device="cpu", capacity=2)
    predictor = predictors.predictor(
        family="deepecg", location=version.location, sha256=version.sha256
    )
    record = twelve_lead_record()
    network = small_network()
    network.load_state_dict(trained_tensors())
    with torch.inference_mode():
        logit = network(torch.from_numpy(record.signal[None])).item()
    result = predictor.predict(record, options={}, progress=NoProgress())
    assert result.logit == pytest.approx(logit, abs=1e-5)  # type: ignore[union-attr]
    assert not result.synthetic  # type: ignore[union-attr]
    assert SYNTHETIC_NOTE not in result.notes


def test_made_up_weights_wait_to_be_named_or_promoted(
    bring: Import, drawn: Path, sessions: SessionFactory
) -> None:
    bring(drawn)
    with sessions() as session:
        told = r"deepecg-afib-5y@1 \(synthetic\).*wcr_afib_5y\.pt"
        with pytest.raises(Unavailable, match=told):
            registry.resolve(session, OWN, "afib-5y", None)
        assert registry.resolve(session, OWN, "afib-5y", "deepecg-afib-5y@1").synthetic
        registry.promote(session, OWN, "deepecg-afib-5y", 1)
        assert registry.resolve(session, OWN, "afib-5y", None).synthetic


def test_what_a_site_chose_goes_on_answering(
    bring: Import, trained: Path, sessions: SessionFactory, tmp_path: Path
) -> None:
    bring(trained)
    others = {name: tensor * 1.01 for name, tensor in trained_tensors().items()}
    row = bring(saved(tmp_path / "other.pt", others), "own-risk")
    assert row.job.status == "succeeded"
    with sessions() as session:
        assert registry.resolve(session, OWN, "afib-5y", None).name == "deepecg-afib-5y"
        assert registry.model(session, OWN, "own-risk").promoted_version is None


def test_the_same_weights_again_are_the_same_version(
    bring: Import, trained: Path, sessions: SessionFactory, settings: Settings
) -> None:
    first, again = bring(trained), bring(trained)
    assert (first.model_version, again.model_version) == (1, 1)
    with sessions() as session:
        assert len(registry.versions(session, OWN, "deepecg-afib-5y")) == 1
    assert kept(settings) == ["card.json", "weights.safetensors"]


def test_the_pretrained_file_is_a_start_and_no_predictor(
    bring: Import, sessions: SessionFactory, tmp_path: Path
) -> None:
    row = bring(saved(tmp_path / "base_ssl.pt", base_tensors(small_network())))
    assert (row.model_name, row.job.status) == ("deepecg-base-ssl", "succeeded")
    with sessions() as session:
        version = registry.version(session, OWN, "deepecg-base-ssl", 1)
        assert version.card["predicts"] is False
        with pytest.raises(UnusableInput, match="without a head"):
            registry.promote(session, OWN, "deepecg-base-ssl", 1)
        leads = [{"name": name, "unit": "mV"} for name in twelve_lead_record().lead_names]
        record = record_row(session, n_samples=7200, leads=leads)
        request = PredictionRequest(OWN, "afib-5y", "deepecg-base-ssl@1")
        with pytest.raises(UnusableInput, match="without a head"):
            begun(session, request, record_id=record.id)


def test_a_file_that_is_refused_leaves_nothing(
    bring: Import, trained: Path, sessions: SessionFactory, settings: Settings, tmp_path: Path
) -> None:
    tensors = trained_tensors() | {"encoder.more": torch.zeros(1)}
    cut = tmp_path / "cut.pt"
    cut.write_bytes(trained.read_bytes()[:-2000])
    for file, says in (
        (saved(tmp_path / "more.pt", tensors), "unexpected encoder.more"),
        (cut, "cut off before its end"),
    ):
        row = bring(file)
        assert (row.job.status, row.model_name) == ("failed", None)
        assert row.job.error is not None
        assert row.job.error["status"] == 400
        assert file.name in row.job.error["detail"]
        assert says in row.job.error["detail"]
    assert kept(settings) == []
    with sessions() as session:
        assert "deepecg-afib-5y" not in [
            m.row.name for m in registry.page(session, OWN, after_name="", limit=50)
        ]


def test_stored_weights_that_were_changed_are_not_used(
    bring: Import, trained: Path, sessions: SessionFactory, store: Store
) -> None:
    bring(trained)
    with sessions() as session:
        version = registry.resolve(session, OWN, "afib-5y", None)
    with version_folder(store, version.location, version.sha256) as folder:
        assert json.loads((folder / "card.json").read_text()) == version.card
    weights = store.local_path(f"{version.location.removeprefix('store:')}/weights.safetensors")
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(Unavailable, match="damaged"):
        version_files(store, version.location, version.sha256)
    store.delete_all("models/")
    with pytest.raises(Unavailable, match="import it again"):
        version_files(store, version.location, version.sha256)


def test_upkeep_removes_what_a_crash_left(
    bring: Import, trained: Path, sessions: SessionFactory, store: Store, settings: Settings
) -> None:
    row = bring(trained)
    store.put("imports/imp_0left/0", trained)
    store.put("models/imp_0left/weights.safetensors", trained)
    with sessions() as session:
        removed = service.remove_orphans(session, store, before_id="imp_~")
    assert removed == ["imp_0left", "imp_0left"]
    assert kept(settings) == ["card.json", "weights.safetensors"]
    assert row.model_version == 1


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("wcr_afib_5y.pt", "wcr_afib_5y.pt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\models\\a b.pt", "a_b.pt"),
        ("\x00", "_"),
        ("", "checkpoint"),
        ("..", "checkpoint"),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_files_name_is_made_plain(name: str, plain: str, tmp_path: Path) -> None:
    assert IncomingFile(name, tmp_path, "0").plain_name == plain
