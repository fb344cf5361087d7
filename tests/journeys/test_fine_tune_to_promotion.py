"""From labelled records to a promoted model of one's own: over HTTP, with kills in the middle."""

from __future__ import annotations

import io
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from services.ecg.annotation_files import symbol_bytes
from tests.conftest import Live, forget_model
from tests.factories import assert_problem, parts
from tests.faults import eventually
from tests.processes import WorkerProcess, trainer
from tests.services.models.ecgbert.labelled_beats import labelled_record
from tests.signals import wfdb_files

PATIENTS = 7
QUICK = {"epochs": 9, "batch": 8, "patience": 9, "seed": 4}
NAME = "own-beats"


def files_of(number: int) -> dict[str, bytes]:
    """A made record with wide V beats as `.hea`, `.dat` and `.atr`."""
    record = labelled_record(number).record
    assert record.annotations is not None
    marks = symbol_bytes(
        record.annotations.sample,
        symbols=list(record.annotations.symbol),
        notes=[""] * len(record.annotations),
        sampling_rate_hz=record.sampling_rate_hz,
    )
    name = f"p{number}"
    return wfdb_files(record.signal, name=name) | {f"{name}.atr": marks}


@pytest.fixture(scope="module")
def dataset(live: Live) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(PATIENTS):
            for name, content in files_of(number).items():
                archive.writestr(name, content)
    with httpx.Client(base_url=live.url, timeout=90, trust_env=False) as client:
        answer = client.post(
            "/v1/datasets",
            files={"file": ("ward.zip", packed.getvalue())},
            data={"name": "ward", "task": "beats"},
        )
    assert answer.status_code == 201, answer.text
    assert answer.json()["patients"] == PATIENTS, answer.json()
    found: str = answer.json()["id"]
    return found


@pytest.fixture
def trainers(live: Live, tmp_path: Path) -> Iterator[list[WorkerProcess]]:
    """One that runs; a test may start more. All of them are ended."""
    started: list[WorkerProcess] = [new_trainer(live, tmp_path / "trainer-0.log")]
    yield started
    for worker in started:
        worker.end()


@pytest.fixture(autouse=True)
def _forgotten(live: Live) -> Iterator[None]:
    yield
    with live.sessions.begin() as session:
        forget_model(session, NAME)


def new_trainer(live: Live, log: Path, **more: str) -> WorkerProcess:
    worker = trainer(live.settings, log, ECTOPY_CHECKPOINT_EVERY_S="0.2", **more)
    worker.wait_ready(live.sessions)
    return worker


def begun(client: httpx.Client, dataset: str, **more: Any) -> dict[str, Any]:
    body = {
        "task": "beats",
        "dataset_id": dataset,
        "base": "ecgbert-beats",
        "name": NAME,
        "hyperparameters": QUICK,
    }
    answer = client.post("/v1/fine-tunes", json=body | more)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/fine-tunes/{found['id']}"
    return found


def seen(client: httpx.Client, fine_tune: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/fine-tunes/{fine_tune['id']}").json()
    return found


def wait_for_epoch(client: httpx.Client, fine_tune: dict[str, Any], epoch: int) -> None:
    def reached() -> bool:
        found = seen(client, fine_tune)
        assert found["status"] in ("queued", "running"), found
        return bool(found["epoch"] >= epoch)

    eventually(reached, within_s=600)


def ended(client: httpx.Client, fine_tune: dict[str, Any]) -> dict[str, Any]:
    eventually(lambda: seen(client, fine_tune)["finished_at"], within_s=600)
    return seen(client, fine_tune)


def run_of(worker: WorkerProcess) -> int:
    """The process of the run that the worker has started."""
    children = [
        child.pid
        for child in psutil.Process(worker.process.pid).children(recursive=True)
        if "worker.training_process" in " ".join(child.cmdline())
    ]
    assert len(children) == 1
    return children[0]


def weights_of(client: httpx.Client, fine_tune: dict[str, Any]) -> str:
    model = fine_tune["result_model"]
    answer = client.get(f"/v1/models/{model['name']}/versions/{model['version']}").json()
    found: str = answer["sha256"]
    return found


def events_of(client: httpx.Client, fine_tune: dict[str, Any], after: str = "0") -> list[Any]:
    found = []
    headers = {"Last-Event-ID": after}
    url = f"/v1/fine-tunes/{fine_tune['id']}/events"
    with client.stream("GET", url, headers=headers) as stream:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            if line.startswith("data: "):
                found.append((kind, json.loads(line.removeprefix("data: "))))
    return found


def test_a_run_that_is_killed_twice_ends_as_an_undisturbed_one_and_answers_once_promoted(
    live: Live,
    live_client: httpx.Client,
    dataset: str,
    trainers: list[WorkerProcess],
    tmp_path: Path,
) -> None:
    undisturbed = ended(live_client, begun(live_client, dataset))
    assert undisturbed["status"] == "succeeded", undisturbed
    disturbed = begun(live_client, dataset)
    wait_for_epoch(live_client, disturbed, 2)
    trainers[0].kill()  # the worker, and with it the process of the run
    trainers.append(new_trainer(live, tmp_path / "trainer-1.log"))
    wait_for_epoch(live_client, disturbed, 4)
    os.kill(run_of(trainers[1]), signal.SIGKILL)
    disturbed = ended(live_client, disturbed)
    assert disturbed["status"] == "succeeded", disturbed
    assert disturbed["history"][-1]["epoch"] == disturbed["epoch"] == QUICK["epochs"]
    assert weights_of(live_client, disturbed) == weights_of(live_client, undisturbed)
    assert_told(live_client, disturbed)
    assert_reported(live_client, disturbed)
    assert_answers_once_promoted(live_client, disturbed)


def assert_told(client: httpx.Client, fine_tune: dict[str, Any]) -> None:
    events = events_of(client, fine_tune)
    statuses = [data["status"] for kind, data in events if kind == "status"]
    assert statuses == ["queued", "running"] * 3 + ["succeeded"]
    assert {"epoch", "checkpoint", "log"} <= {kind for kind, _ in events}
    kept = client.get(f"/v1/fine-tunes/{fine_tune['id']}/checkpoints").json()["data"]
    assert {each["kind"] for each in kept} == {"last", "best"}
    assert all("metrics" in each for each in kept)


def assert_reported(client: httpx.Client, fine_tune: dict[str, Any]) -> None:
    report = client.get(f"/v1/fine-tunes/{fine_tune['id']}/report").json()
    split = fine_tune["split"]
    assert sum(part["patients"] for part in split.values()) == PATIENTS
    assert report["patients"] == split["test"]["patients"] >= 1
    result = fine_tune["result_model"]
    names = {model["role"]: model["name"] for model in report["models"]}
    assert names["new"] == f"{result['name']}@{result['version']}"
    assert "ecgbert-beats@1" in names.values()
    page = client.get(f"/v1/fine-tunes/{fine_tune['id']}/report", params={"format": "html"})
    assert page.headers["content-type"].startswith("text/html")
    assert f"{result['name']}@{result['version']}" in page.text


def assert_answers_once_promoted(client: httpx.Client, fine_tune: dict[str, Any]) -> None:
    model = fine_tune["result_model"]
    version = f"/v1/models/{model['name']}/versions/{model['version']}"
    card = client.get(version).json()
    assert card["card"]["base"] == "ecgbert-beats@1"
    assert card["card"]["dataset"]["sha256"] == fine_tune["dataset_sha256"]
    assert card["card"]["hyperparameters"]["epochs"] == QUICK["epochs"]
    promoted = client.post(f"{version}/promote")
    assert promoted.status_code == 200, promoted.text
    answer = client.post("/v1/predict/beats", files=parts(files_of(50))).json()
    assert answer["model"] == model
    assert answer["result"]["counts"]["N"] > 30
    rolled_back = client.post(f"/v1/models/{model['name']}/rollback")
    assert rolled_back.status_code in (200, 409)


def test_a_cancelled_run_keeps_its_checkpoint_and_goes_on_when_resumed(
    live_client: httpx.Client, dataset: str, trainers: list[WorkerProcess]
) -> None:
    run = begun(live_client, dataset)
    wait_for_epoch(live_client, run, 2)
    url = f"/v1/fine-tunes/{run['id']}"
    assert_problem(live_client.post(f"{url}/resume"), 409, "it has not ended")
    assert_problem(live_client.get(f"{url}/report"), 409, "there is no report")
    assert live_client.post(f"{url}/cancel").status_code == 200
    cancelled = ended(live_client, run)
    assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
    assert cancelled["epoch"] < QUICK["epochs"]
    assert live_client.get(f"{url}/checkpoints").json()["data"]
    resumed = live_client.post(f"{url}/resume")
    assert resumed.status_code == 202, resumed.text
    done = ended(live_client, run)
    assert (done["status"], done["epoch"]) == ("succeeded", QUICK["epochs"])
    statuses = [data["status"] for kind, data in events_of(live_client, run) if kind == "status"]
    assert statuses == ["queued", "running", "cancelled", "queued", "running", "succeeded"]
    assert_problem(live_client.post(f"{url}/resume"), 409, "ask for more")


def test_a_trainer_that_is_told_to_stop_keeps_a_checkpoint_and_another_goes_on_from_it(
    live: Live, live_client: httpx.Client, dataset: str, tmp_path: Path
) -> None:
    first = trainer(live.settings, tmp_path / "first.log", ECTOPY_CHECKPOINT_EVERY_S="1000")
    first.wait_ready(live.sessions)
    run = begun(live_client, dataset)
    wait_for_epoch(live_client, run, 2)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(60) == 0
    assert seen(live_client, run)["status"] == "queued"
    (last,) = [
        each
        for each in live_client.get(f"/v1/fine-tunes/{run['id']}/checkpoints").json()["data"]
        if each["kind"] == "last"
    ]
    second = new_trainer(live, tmp_path / "second.log")
    try:
        done = ended(live_client, run)
    finally:
        second.end()
    assert done["status"] == "succeeded", done
    events = events_of(live_client, run)
    statuses = [data["status"] for kind, data in events if kind == "status"]
    assert statuses == ["queued", "running"] * 2 + ["succeeded"]
    assert [d["epoch"] for kind, d in events if kind == "epoch"] == [*range(1, QUICK["epochs"] + 1)]
    said = [data["message"] for kind, data in events if kind == "log"]
    assert f"goes on from epoch {last['epoch']}, update {last['update']}" in said


@pytest.mark.slow
def test_two_processes_train_as_one_does_and_are_killed_and_go_on(
    live: Live, live_client: httpx.Client, dataset: str, tmp_path: Path
) -> None:
    workers = [new_trainer(live, tmp_path / "a.log", ECTOPY_TRAINING_PROCESSES="2")]
    try:
        run = begun(live_client, dataset)
        wait_for_epoch(live_client, run, 2)
        processes = psutil.Process(workers[0].process.pid).children(recursive=True)
        assert len(processes) == 2
        processes[-1].kill()  # the one that the first has started
        done = ended(live_client, run)
        assert (done["status"], done["epoch"]) == ("succeeded", QUICK["epochs"])
        statuses = [d["status"] for kind, d in events_of(live_client, run) if kind == "status"]
        assert statuses == ["queued", "running"] * 2 + ["succeeded"]
    finally:
        for worker in workers:
            worker.end()
