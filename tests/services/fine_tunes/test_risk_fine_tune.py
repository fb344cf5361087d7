"""DeepECG from base_ssl to a version that answers: over HTTP, with a small network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from services import ids
from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.ecg.leads import STANDARD_12
from services.fine_tunes import service as fine_tunes
from services.fine_tunes.runner import FineTuneRunner, Places
from services.fine_tunes.service import FineTuneRequest
from services.jobs import lifecycle
from services.jobs.execution import execute
from services.models.deepecg.importing import import_public
from services.models.families import FINE_TUNABLE
from services.models.results import RiskResult
from services.registry import service as registry
from services.registry.files import put_version, stored_location
from services.registry.service import content_of
from services.settings import Settings
from services.storage.factory import store_for
from services.training.progress import NoProgress
from tests.conftest import forget_model
from tests.factories import upload
from tests.services.models.deepecg.labelled import labelled_record
from tests.services.models.deepecg.small import SMALL, base_tensors, saved, small_network
from worker.predictors import LoadedPredictors

BASE, NAME = "deepecg-base-ssl", "ward-risk"
PATIENTS = 24


def wfdb_files(seed: int) -> dict[str, bytes]:
    """The made record in format 16; odd seeds have the outcome."""
    signal = labelled_record(seed).record.signal
    name = f"p{seed}"
    lines = [f"{name} {len(STANDARD_12)} 250 {signal.shape[1]}"]
    lines += [f"{name}.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in STANDARD_12]
    samples = np.rint(signal * 1000).astype("<i2").T.tobytes()
    return {f"{name}.hea": "\n".join(lines).encode() + b"\n", f"{name}.dat": samples}


@pytest.fixture
def base(sessions: SessionFactory, settings: Settings, tmp_path: Path) -> Iterator[None]:
    """The pre-trained model in the registry: it predicts nothing."""
    file = saved(tmp_path / "base_ssl.pt", base_tensors(small_network()))
    card = import_public(file, into=tmp_path / "base", config=SMALL)
    location = stored_location(ids.new_id("imp"))
    put_version(store_for(settings), location, tmp_path / "base")
    content = content_of(tmp_path / "base")
    with sessions.begin() as session:
        registry.enter(session, DEFAULT_PROJECT, card=card, content=content, location=location)
    yield
    with sessions.begin() as session:
        forget_model(session, NAME)
        forget_model(session, BASE)


@pytest.mark.usefixtures("base")
def test_a_pretrained_base_becomes_a_risk_model_of_the_sites_own(
    api: TestClient, sessions: SessionFactory, settings: Settings
) -> None:
    records = [upload(api, wfdb_files(n), patient_id=f"p{n}")["id"] for n in range(PATIENTS)]
    labels = {record_id: n % 2 for n, record_id in enumerate(records)}
    body = {"name": "ward", "task": "afib-5y", "record_ids": records, "labels": labels}
    answer = api.post("/v1/datasets", json=body)
    assert answer.status_code == 201, answer.text
    chosen = {"epochs": 8, "batch": 8, "accumulation": 1, "learning_rate": 0.01}
    request = FineTuneRequest(
        "afib-5y", answer.json()["id"], BASE, head="reset", name=NAME, hyperparameters=chosen
    )
    with sessions.begin() as session:
        new_id = fine_tunes.new_fine_tune_id()
        row = fine_tunes.create(session, request, project_id=DEFAULT_PROJECT, fine_tune_id=new_id)
    store = store_for(settings)
    predictors = LoadedPredictors(store, device="cpu", capacity=2)
    places = Places(settings.data_dir, "cpu")
    runner = FineTuneRunner(sessions, store, FINE_TUNABLE, predictors, places=places)
    with sessions.begin() as session:
        claim = lifecycle.claim(session, row.job_id, worker="w", lease_s=600)
    assert claim is not None
    execute(sessions, claim, runner, threading.Event())
    found = api.get(f"/v1/fine-tunes/{new_id}").json()
    assert (found["status"], found["error"]) == ("succeeded", None)
    with sessions() as session:
        version = registry.version(session, DEFAULT_PROJECT, NAME, 1)
    assert (version.card["base"], version.card["synthetic"]) == (f"{BASE}@1", True)
    assert registry.predicts(version)
    assert api.get(f"/v1/fine-tunes/{new_id}/report").json()["models"][0]["name"] == f"{NAME}@1"
    predictor = predictors.predictor(
        family="deepecg", location=version.location, sha256=version.sha256
    )
    risks = []
    for seed in (301, 302):
        record = labelled_record(seed).record
        result = predictor.predict(record, options={}, progress=NoProgress())
        assert isinstance(result, RiskResult)
        risks.append(result.risk)
    assert risks[0] > risks[1]
