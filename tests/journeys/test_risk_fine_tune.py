"""A narrow DeepECG, fine-tuned on twelve-lead records with labels over HTTP, with a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from services.access.caller import DEFAULT_PROJECT
from services.models.deepecg.importing import import_public
from services.registry import service as registry
from services.registry.files import put_version, stored_location
from services.registry.service import WEIGHTS, sha256_of
from services.storage.factory import store_for
from tests.conftest import Live, forget_model
from tests.factories import parts
from tests.journeys.test_fine_tune_to_promotion import ended, new_trainer, wait_for_epoch
from tests.labelled import TWELVE, archive, wfdb
from tests.services.models.deepecg.labelled import labelled_record
from tests.services.models.deepecg.small import SMALL, base_tensors, saved, small_network

BASE, NAME = "narrow-ssl", "own-risk"
RECORDS = 20
EPOCHS = 16


@pytest.fixture
def base(live: Live, tmp_path: Path) -> Iterator[str]:
    """A pre-trained base without a head, as an import would register it."""
    file = saved(tmp_path / "base_ssl.pt", base_tensors(small_network()))
    card = import_public(file, into=tmp_path / "base", config=SMALL) | {"name": BASE}
    location = stored_location("imp_narrow")
    put_version(store_for(live.settings), location, tmp_path / "base")
    digest = sha256_of(tmp_path / "base" / WEIGHTS)
    with live.sessions.begin() as session:
        registry.add_version(session, DEFAULT_PROJECT, card=card, sha256=digest, location=location)
    yield BASE
    with live.sessions.begin() as session:
        forget_model(session, NAME)
        forget_model(session, BASE)


def files_of(seed: int) -> dict[str, bytes]:
    signal = np.asarray(labelled_record(seed).record.signal)
    rate_hz = labelled_record(seed).record.sampling_rate_hz
    return wfdb(f"p{seed}", signal, leads=TWELVE, rate_hz=rate_hz)


def test_a_pretrained_base_becomes_a_model_of_ones_own(
    live: Live, live_client: httpx.Client, base: str, tmp_path: Path
) -> None:
    labels = "record,label\n" + "".join(f"p{n},{n % 2}\n" for n in range(RECORDS))
    packed = archive({k: v for n in range(RECORDS) for k, v in files_of(n).items()})
    answer = live_client.post(
        "/v1/datasets",
        files=[("file", ("ward.zip", packed)), ("file", ("labels.csv", labels.encode()))],
        data={"name": "ward", "task": "afib-5y"},
    )
    assert answer.status_code == 201, answer.text
    body = {
        "task": "afib-5y",
        "dataset_id": answer.json()["id"],
        "base": base,
        "head": "reset",
        "name": NAME,
        "hyperparameters": {"epochs": EPOCHS, "batch": 4, "learning_rate": 0.01},
    }
    kept = live_client.post("/v1/fine-tunes", json=body | {"head": "keep"})
    assert kept.status_code == 422
    assert "without a head" in kept.json()["detail"]
    workers = [new_trainer(live, tmp_path / "a.log")]
    try:
        begun = live_client.post("/v1/fine-tunes", json=body)
        assert begun.status_code == 202, begun.text
        run = begun.json()
        wait_for_epoch(live_client, run, 2)
        workers[0].kill()
        workers.append(new_trainer(live, tmp_path / "b.log"))
        done = ended(live_client, run)
    finally:
        for worker in workers:
            worker.end()
    assert done["status"] == "succeeded", done
    assert done["epoch"] == EPOCHS
    report = live_client.get(f"/v1/fine-tunes/{run['id']}/report").json()
    (new,) = report["models"]  # the base answers nothing, and nothing is promoted
    assert new["role"] == "new"
    assert 0.0 <= new["auroc"]["value"] <= 1.0
    assert report["patients"] == done["split"]["test"]["patients"]
    version = f"/v1/models/{NAME}/versions/{done['result_model']['version']}"
    assert live_client.post(f"{version}/promote").status_code == 200
    risks = [
        live_client.post("/v1/predict/afib-5y", files=parts(files_of(seed))).json()["result"]
        for seed in (101, 102)
    ]
    assert all(0.0 < each["risk"] < 1.0 for each in risks)
