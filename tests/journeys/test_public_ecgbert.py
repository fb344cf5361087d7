"""From the public ECGBERT checkpoint to labels of one's own, over HTTP alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Live, forget_model
from tests.factories import assert_problem, parts
from tests.faults import eventually
from tests.journeys.test_fine_tune_to_promotion import ended, files_of
from tests.labelled import archive
from tests.processes import trainer
from tests.services.models.ecgbert.shared_files import CHECKPOINT, CLUSTER_FOLDER, needs_reference

BASE, NAME = "ecgbert-public", "own-guide-beats"
PATIENTS = 7

pytestmark = [pytest.mark.slow, needs_reference]


@pytest.fixture
def base(live: Live, live_client: httpx.Client) -> Iterator[str]:
    """The five public files, brought in."""
    files = {path.name: path.read_bytes() for path in (CHECKPOINT, *CLUSTER_FOLDER.glob("*.pkl"))}
    assert len(files) == 5
    answer = live_client.post("/v1/models/import", files=parts(files), data={"task": "beats"})
    if answer.status_code == 202:
        where = answer.headers["location"]
        eventually(lambda: live_client.get(where).json()["model"], within_s=120)
        answer = live_client.get(f"/v1/models/{BASE}/versions/1")
    assert answer.status_code in (200, 201), answer.text
    assert answer.json()["card"]["predicts"] is False
    yield BASE
    with live.sessions.begin() as session:
        forget_model(session, NAME)
        forget_model(session, BASE)


def begun(client: httpx.Client, base: str, **more: Any) -> httpx.Response:
    files = {k: v for number in range(PATIENTS) for k, v in files_of(number).items()}
    dataset = client.post(
        "/v1/datasets",
        files={"file": ("ward.zip", archive(files))},
        data={"name": "guide ward", "task": "beats"},
    )
    assert dataset.status_code in (200, 201), dataset.text
    body = {
        "task": "beats",
        "dataset_id": dataset.json()["id"],
        "base": f"{base}@1",
        "head": "reset",
        "name": NAME,
        # all of the network, quickly: at the guide's own numbers little moves in so few beats
        "hyperparameters": {
            "epochs": 12,
            "batch": 1,
            "learning_rate": 0.005,
            "attention_window": 64,
            "train_embedding": True,
            "seed": 4,
        },
    }
    return client.post("/v1/fine-tunes", json=body | more)


def test_the_public_checkpoint_becomes_a_model_that_answers(
    live: Live, live_client: httpx.Client, base: str, tmp_path: Path
) -> None:
    record = files_of(50)
    refused = live_client.post(
        "/v1/predict/beats", files=parts(record), data={"model": f"{base}@1"}
    )
    assert refused.status_code in (409, 422), refused.text
    assert_problem(begun(live_client, base, head="keep"), 422)
    worker = trainer(live.settings, tmp_path / "trainer.log")
    try:
        answer = begun(live_client, base)
        assert answer.status_code == 202, answer.text
        done = ended(live_client, answer.json())
    finally:
        worker.end()
    assert done["status"] == "succeeded", done
    assert any("f1_V" in entry["metrics"] for entry in done["history"])
    model = done["result_model"]
    version = f"/v1/models/{model['name']}/versions/{model['version']}"
    card = live_client.get(version).json()["card"]
    assert (card["family"], card["base"]) == ("ecgbert-guide", f"{base}@1")
    report = live_client.get(f"/v1/fine-tunes/{done['id']}/report").json()
    assert "base" not in {each["role"] for each in report["models"]}  # it answers nothing
    # a model of a few minutes may be worse than the one that answers now
    promoted = live_client.post(f"{version}/promote", params={"force": True})
    assert promoted.status_code == 200, promoted.text
    found = live_client.post("/v1/predict/beats", files=parts(record)).json()
    assert found["model"] == model
    counts = found["result"]["counts"]
    assert counts["N"] > 30
    assert counts["V"] > 5
