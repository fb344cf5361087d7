"""A fine-tune on MIT-BIH records over HTTP: its report is what EC57 says of the same records."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from ectopy.ec57 import evaluate
from services.ecg.labels import mitdb_patient
from tests.conftest import SHARED, Live, forget_model
from tests.factories import parts
from tests.faults import eventually
from tests.journeys.test_fine_tune_to_promotion import files_of
from tests.processes import trainer

MITDB = SHARED / "data" / "mitdb"
RECORDS = ("106", "119", "201", "203", "208", "223")  # of DS1: nothing is chosen on DS2
NAME = "mitdb-beats"

pytestmark = pytest.mark.slow


def packed() -> bytes:
    if not MITDB.is_dir():
        pytest.skip("the MIT-BIH records (../shared/data/mitdb) are not here")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in RECORDS:
            for ending in ("hea", "dat", "atr"):
                archive.write(MITDB / f"{record}.{ending}", f"{record}.{ending}")
    return content.getvalue()


def fine_tuned(client: httpx.Client) -> dict[str, Any]:
    answer = client.post(
        "/v1/datasets",
        files={"file": ("mitdb.zip", packed())},
        data={"name": "mitdb", "task": "beats"},
    )
    assert answer.status_code == 201, answer.text
    body = {
        "task": "beats",
        "dataset_id": answer.json()["id"],
        "base": "ecgbert-beats@1",
        "name": NAME,
        "hyperparameters": {"epochs": 2, "learning_rate": 0.0003},
    }
    url = client.post("/v1/fine-tunes", json=body).headers["location"]
    eventually(lambda: client.get(url).json()["finished_at"], within_s=1800)
    found: dict[str, Any] = client.get(url).json()
    assert found["status"] == "succeeded", found
    return found


def downloaded(client: httpx.Client, fine_tune: dict[str, Any], folder: Path) -> Path:
    """The result's folder, as anybody can have it."""
    model = fine_tune["result_model"]
    url = f"/v1/models/{model['name']}/versions/{model['version']}/download"
    with zipfile.ZipFile(io.BytesIO(client.get(url).content)) as archive:
        archive.extractall(folder)
    (card,) = folder.rglob("card.json")
    return card.parent


def assert_promoted(client: httpx.Client, fine_tune: dict[str, Any]) -> None:
    """By force, where the base looks better: it was trained on these very patients."""
    name, number = (fine_tune["result_model"][key] for key in ("name", "version"))
    url = f"/v1/models/{name}/versions/{number}/promote"
    answer = client.post(url, params={"force": True})
    assert answer.status_code == 200, answer.text
    found = client.post("/v1/predict/beats", files=parts(files_of(50))).json()
    assert found["model"] == fine_tune["result_model"]


def test_the_report_agrees_with_ec57_on_the_same_records(
    live: Live, live_client: httpx.Client, tmp_path: Path
) -> None:
    packed()  # skips before a worker is started
    worker = trainer(live.settings, tmp_path / "trainer.log")
    worker.wait_ready(live.sessions)
    try:
        fine_tune = fine_tuned(live_client)
        report = live_client.get(f"/v1/fine-tunes/{fine_tune['id']}/report").json()
        new = next(model for model in report["models"] if model["role"] == "new")
        tested = [row["name"] for row in new["by_record"]]
        assert fine_tune["split"]["test"]["records"] == len(tested) >= 1
        assert {mitdb_patient(name) for name in tested} < {mitdb_patient(n) for n in RECORDS}
        folder = downloaded(live_client, fine_tune, tmp_path / "model")
        table = evaluate(MITDB, folder, tested).tables[0]
        assert table.classification is not None
        assert new["confusion"]["counts"] == [list(row) for row in table.classification.confusion]
        assert_promoted(live_client, fine_tune)
        base = next(model for model in report["models"] if "base" in model["role"])
        assert base["trained_on"], "the shipped model was trained on DS1"
        assert any("was trained on" in caution for caution in report["cautions"])
    finally:
        worker.end()
        with live.sessions.begin() as session:
            forget_model(session, NAME)
