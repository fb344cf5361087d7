"""The document of the API: complete, with examples that work, and shown without the web."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from api import examples
from api.main import create_app
from services.db.session import SessionFactory
from services.settings import Settings
from tests.conftest import ROOT, forget_model
from tests.factories import ended, predict, upload
from tests.fakes import EagerDispatcher
from tests.labelled import beats_record
from tests.processes import served

# what API.md promises of the operations that this version has
PROMISED = {
    "post /v1/records",
    "get /v1/records",
    "get /v1/records/{}",
    "delete /v1/records/{}",
    "get /v1/records/{}/signal",
    "get /v1/records/{}/annotations",
    "post /v1/predictions",
    "get /v1/predictions",
    "get /v1/predictions/{}",
    "post /v1/predictions/{}/cancel",
    "get /v1/predictions/{}/events",
    "post /v1/predict/beats",
    "post /v1/predict/afib-5y",
    "post /v1/predictions/batch",
    "get /v1/predictions/{}/results",
    "get /v1/predictions/{}/beats.csv",
    "get /v1/predictions/{}/annotations.zip",
    "post /v1/datasets",
    "get /v1/datasets",
    "get /v1/datasets/{}",
    "delete /v1/datasets/{}",
    "post /v1/fine-tunes",
    "get /v1/fine-tunes",
    "get /v1/fine-tunes/{}",
    "get /v1/fine-tunes/{}/events",
    "get /v1/fine-tunes/{}/checkpoints",
    "post /v1/fine-tunes/{}/cancel",
    "post /v1/fine-tunes/{}/resume",
    "get /v1/fine-tunes/{}/report",
    "get /v1/models",
    "get /v1/models/{}/versions",
    "get /v1/models/{}/versions/{}",
    "post /v1/models/{}/versions/{}/promote",
    "post /v1/models/{}/rollback",
    "get /v1/models/{}/promotions",
    "post /v1/models/import",
    "get /v1/models/{}/versions/{}/download",
    "get /healthz",
    "get /readyz",
    "get /metrics",
    "get /v1/system",
}


@pytest.fixture
def document(api: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, found in document["paths"].items():
        for method, operation in found.items():
            yield method, path, operation


def test_what_is_promised_is_there(document: dict[str, Any]) -> None:
    found = {f"{method} {re.sub('{.*?}', '{}', path)}" for method, path, _ in operations(document)}
    assert found >= PROMISED


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        assert operation.get("summary"), (method, path)
        assert "curl" in operation["description"], (method, path)
        for parameter in operation.get("parameters", ()):
            assert parameter["in"] != "path" or "example" in parameter, (path, parameter["name"])


def test_every_error_is_described_as_a_problem(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (method, path)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/([^\"']+)", str(document)):
        assert name in schemas


def test_the_page_of_the_document_needs_no_web(api: TestClient) -> None:
    page = api.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 3
    for address in loaded:
        assert address.startswith("/"), address
        assert api.get(address).status_code == 200
    assert "http" not in page.text.replace("http-equiv", "")


@pytest.fixture
def service(settings: Settings, sessions: SessionFactory) -> Iterator[str]:
    """The API on a socket, its worker a thread with a fake predictor."""
    app = create_app(settings)
    dispatcher = EagerDispatcher(sessions, app.state.ectopy.store)
    app.state.ectopy.dispatcher = dispatcher
    with served(app) as url:
        yield url
    dispatcher.wait()
    with sessions.begin() as session:
        forget_model(session, "fake-risk")
        forget_model(session, "ward-3-beats")


OTHERWISE = {
    "post /v1/predict/afib-5y": 503,  # its weights may not be redistributed
    "post /v1/models/{name}/versions/{number}/calibration": 422,  # a beat model has no threshold
    "post /v1/models/{name}/rollback": 409,  # nothing was promoted before
    "get /readyz": 503,  # no worker process here
}


def ids_for(client: httpx.Client, method: str, path: str) -> tuple[str, str]:
    """A record and a prediction in the state that the operation needs."""
    record = upload(client, beats_record("made", 0))["id"]
    if path.endswith("/results"):
        body = {"record_ids": [record], "task": "beats"}
        prediction = client.post("/v1/predictions/batch", json=body).json()["id"]
    else:
        prediction = predict(client, record)["id"]
    ended(client, prediction)
    return record, prediction


def dataset_of(client: httpx.Client, record: str) -> str:
    """A dataset of one record."""
    body = {"name": "d", "task": "beats", "record_ids": [record]}
    found: str = client.post("/v1/datasets", json=body).json()["id"]
    return found


def dataset_of_patients(client: httpx.Client) -> str:
    """A dataset of three patients, which is enough to train on."""
    records = [upload(client, beats_record(f"p{n}", n))["id"] for n in range(3)]
    body = {"name": "three", "task": "beats", "record_ids": records}
    found: str = client.post("/v1/datasets", json=body).json()["id"]
    return found


def fine_tuned(client: httpx.Client, dataset: str) -> str:
    """A fine-tune of two epochs that has succeeded."""
    body = {
        "task": "beats",
        "dataset_id": dataset,
        "base": "ecgbert-beats",
        "name": "ward-3-beats",
        "hyperparameters": {"epochs": 2},
    }
    answer = client.post("/v1/fine-tunes", json=body, headers={"Prefer": "wait=30"}).json()
    assert answer["status"] == "succeeded", answer
    found: str = answer["id"]
    return found


def imported(client: httpx.Client, checkpoint: Path) -> str:
    """An import; it goes on after this answer."""
    parts = {"file": (checkpoint.name, checkpoint.read_bytes())}
    answer = client.post("/v1/models/import", files=parts, headers={"Prefer": "wait=0"})
    found: str = answer.json()["id"]
    return found


@pytest.mark.usefixtures("fake_model")
def test_every_example_works_as_it_is_pasted(service: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "wcr_afib_5y.pt"
    checkpoint.write_bytes(b"weights")
    with httpx.Client(base_url=service, trust_env=False, timeout=60) as client:
        document = client.get("/openapi.json").json()
        for method, path, operation in operations(document):
            if path.endswith("/cancel"):  # needs one that runs: tests/worker has it
                continue
            record, prediction = ids_for(client, method, path)
            command = re.search("```sh\n(.*)\n```", operation["description"])
            assert command is not None
            text = command[1].replace(examples.BASE_URL, service)
            text = text.replace(examples.RECORD_ID, record)
            text = text.replace(examples.PREDICTION_ID, prediction)
            if "{dataset_id}" in path:
                text = text.replace(examples.DATASET_ID, dataset_of(client, record))
            if "fine-tunes" in path:
                dataset = dataset_of_patients(client)
                text = text.replace(examples.DATASET_ID, dataset)
                if "{fine_tune_id}" in path:
                    text = text.replace(examples.FINE_TUNE_ID, fine_tuned(client, dataset))
            if "import" in path:
                text = text.replace("@wcr_afib_5y.pt", f"@{checkpoint}")
                text = text.replace(examples.IMPORT_ID, imported(client, checkpoint))
            arguments = shlex.split(text)
            for at, argument in enumerate(arguments[:-1]):
                if argument == "-o":
                    arguments[at + 1] = str(tmp_path / arguments[at + 1])
            done = subprocess.run(
                [*arguments, "-sS", "-w", "\n%{http_code}", "--noproxy", "*", "-m", "40"],
                cwd=ROOT,
                capture_output=True,
                check=True,
            )
            status = int(done.stdout.rsplit(b"\n", 1)[-1])
            expected = OTHERWISE.get(f"{method} {path}")
            assert status == expected if expected else 200 <= status < 300, (text, done.stdout)
