"""From an upload to a label for every beat: the shipped model, a real worker, real servers."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import wfdb

from tests.conftest import EXAMPLES, Live
from tests.corpus import zipped
from tests.factories import ended, parts, upload
from tests.signals import made_ecg, wfdb_files


@pytest.fixture
def predicted(live_client: httpx.Client, example: dict[str, bytes]) -> dict[str, Any]:
    """The sample record, read by the model that answers."""
    return beats_of(live_client, example)


def beats_of(client: httpx.Client, files: dict[str, bytes]) -> dict[str, Any]:
    answer = client.post("/v1/predict/beats", files=parts(files))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["status"] == "succeeded", found["error"]
    return found


def test_the_sample_record_gets_a_label_for_every_beat(predicted: dict[str, Any]) -> None:
    result = predicted["result"]
    assert predicted["model"]["name"] == "ecgbert-beats"
    assert (result["sampling_rate_hz"], result["leads_used"]) == (360.0, ["MLII"])
    # five minutes of record 208, whose heart beats about 100 times a minute
    assert 450 <= len(result["beats"]) <= 600
    assert sum(result["counts"].values()) == len(result["beats"])
    assert result["counts"]["N"] > 100
    assert result["counts"]["V"] > 50
    for beat in result["beats"]:
        assert sum(beat["probabilities"].values()) == pytest.approx(1.0, abs=1e-3)
        assert beat["probability"] == max(beat["probabilities"].values())


def test_every_beat_lies_on_an_r_peak(live_client: httpx.Client) -> None:
    signal, peaks = made_ecg(duration_s=60.0, noise_mv=0.01)
    files = wfdb_files(signal, name="known")
    found = beats_of(live_client, files)
    samples = [beat["sample"] for beat in found["result"]["beats"]]
    assert len(samples) == len(peaks)
    assert max(abs(a - b) for a, b in zip(samples, peaks.tolist(), strict=True)) <= 4


def test_another_rate_gives_beats_in_that_rate(live_client: httpx.Client) -> None:
    signal, peaks = made_ecg(duration_s=30.0, sampling_rate_hz=500.0, noise_mv=0.01)
    files = wfdb_files(signal, sampling_rate_hz=500.0, name="fast")
    found = beats_of(live_client, files)
    samples = [beat["sample"] for beat in found["result"]["beats"]]
    assert found["result"]["sampling_rate_hz"] == 500.0
    assert len(samples) == len(peaks)
    assert max(abs(a - b) for a, b in zip(samples, peaks.tolist(), strict=True)) <= 6


def test_the_exports_line_up_with_the_beats(
    live_client: httpx.Client, predicted: dict[str, Any], tmp_path: Path
) -> None:
    path = f"/v1/predictions/{predicted['id']}"
    beats = predicted["result"]["beats"]
    lines = live_client.get(f"{path}/beats.csv").text.splitlines()[1:]
    assert [int(line.split(",")[0]) for line in lines] == [beat["sample"] for beat in beats]
    assert [line.split(",")[2] for line in lines] == [beat["label"] for beat in beats]
    packed = io.BytesIO(live_client.get(f"{path}/annotations.zip").content)
    zipfile.ZipFile(packed).extractall(tmp_path)
    found = wfdb.rdann(str(tmp_path / "208_excerpt"), "ectopy")
    assert found.sample.tolist() == [beat["sample"] for beat in beats]
    signal = wfdb.rdrecord(str(EXAMPLES / "208_excerpt"))
    assert found.fs == signal.fs
    assert found.sample.max() < signal.sig_len


def test_the_result_stays_and_is_the_same_when_it_is_read_again(
    live_client: httpx.Client, predicted: dict[str, Any]
) -> None:
    assert live_client.get(f"/v1/predictions/{predicted['id']}").json() == predicted
    query = {"record_id": predicted["record_id"], "status": "succeeded"}
    listed = live_client.get("/v1/predictions", params=query).json()["data"]
    assert predicted["id"] in [one["id"] for one in listed]


def test_the_other_detector_is_an_option(
    live_client: httpx.Client, example: dict[str, bytes]
) -> None:
    record = upload(live_client, example)
    body = {"record_id": record["id"], "task": "beats", "options": {"rpeaks": "hamilton2002"}}
    answer = live_client.post("/v1/predictions", json=body, headers={"Prefer": "wait=60"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "succeeded"
    assert len(answer.json()["result"]["beats"]) > 400


def test_the_model_is_named_by_name_and_version(
    live_client: httpx.Client, example: dict[str, bytes]
) -> None:
    record = upload(live_client, example)
    for model in ("ecgbert-beats", "ecgbert-beats@1"):
        body = {"record_id": record["id"], "task": "beats", "model": model}
        answer = live_client.post("/v1/predictions", json=body, headers={"Prefer": "wait=60"})
        assert answer.json()["model"] == {"name": "ecgbert-beats", "version": 1}
        assert answer.json()["status"] == "succeeded"


def test_a_batch_of_records_is_one_job(
    live_client: httpx.Client, example: dict[str, bytes]
) -> None:
    made = wfdb_files(made_ecg(duration_s=20.0)[0], name="batch")
    ids = [upload(live_client, files)["id"] for files in (example, made)]
    answer = live_client.post("/v1/predictions/batch", json={"record_ids": ids, "task": "beats"})
    assert answer.status_code == 202
    found = ended(live_client, answer.json()["id"], within_s=60)
    assert found["result"] == {"records": 2, "succeeded": 2, "failed": 0}
    lines = live_client.get(f"/v1/predictions/{found['id']}/results").text.splitlines()
    assert [json.loads(line)["record_id"] for line in lines] == ids
    events = live_client.get(f"/v1/predictions/{found['id']}/events").text
    assert events.count("event: result") == 2


def test_an_archive_gives_what_its_files_give(
    live_client: httpx.Client, example: dict[str, bytes], predicted: dict[str, Any]
) -> None:
    archive = {"208.zip": zipped(example, folder="records/")}
    found = beats_of(live_client, archive)
    assert found["record_id"] != predicted["record_id"]
    assert found["result"]["beats"] == predicted["result"]["beats"]


def test_the_service_says_that_it_is_ready(live: Live, live_client: httpx.Client) -> None:
    assert live_client.get("/readyz").json()["status"] == "ready"
    system = live_client.get("/v1/system").json()
    assert [worker["queues"] for worker in system["workers"]] == [["predict", "batch"]]
    listed = {model["name"]: model for model in live_client.get("/v1/models").json()["data"]}
    assert listed["ecgbert-beats"]["promoted_version"] == 1
    card = live_client.get("/v1/models/ecgbert-beats/versions/1").json()["card"]
    assert card["task"] == "beats"
