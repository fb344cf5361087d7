"""DeepECG in its full size, made by a formula, fine-tuned on real twelve-lead ECGs over HTTP.

The labels are made up: what is tried is the way, and that a kill in its middle costs nothing but
the time since the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from services.ecg.readers.base import Limits, SourceFile
from services.ecg.readers.detect import read_record
from services.ecg.record import EcgRecord
from tests.conftest import SHARED, Live, forget_model
from tests.factories import parts
from tests.faults import eventually
from tests.formula import brought_in, formula_checkpoint
from tests.journeys.test_fine_tune_to_promotion import ended, events_of
from tests.labelled import archive, wfdb
from tests.processes import trainer

FORMATS = SHARED / "data" / "formats"
# ten people's ECGs of 10 s and more
SOURCES = (
    "wfdb-mat/E07500",
    "wfdb-mat/HR06000",
    "wfdb-mat/JS20001",
    "dicom/mortara_12lead_1000hz.dcm",
    "dicom/ge_12lead_500hz.dcm",
    "hl7-aecg/example_aecg.xml",
    "ge-muse-xml/muse9_example1.xml",
    "ge-muse-xml/muse9_example2.xml",
    "philips-sierra-xml/sierra_1_03.xml",
    "philips-sierra-xml/sierra_1_04_01.xml",
)
BASE, NAME = "formula-risk", "formula-risk-tuned"
EPOCHS = 2

pytestmark = pytest.mark.slow


def read(source: str, folder: Path) -> EcgRecord:
    path = FORMATS / source
    files = [path] if path.is_file() else sorted(path.parent.glob(f"{path.name}.*"))
    workspace = folder / source.replace("/", "-")
    workspace.mkdir()
    sources = [SourceFile(file.name, file) for file in files]
    return read_record(sources, limits=Limits(), workspace=workspace)


def ward(folder: Path) -> dict[str, bytes]:
    """Each person's first ten seconds as a WFDB record."""
    if not FORMATS.is_dir():
        pytest.skip("the example files (../shared/data/formats) are not here")
    files: dict[str, bytes] = {}
    for number, source in enumerate(SOURCES):
        record = read(source, folder)
        first = record.signal[:, : round(10 * record.sampling_rate_hz)]
        files |= wfdb(
            f"p{number}",
            np.nan_to_num(first),
            leads=tuple(record.lead_names),
            rate_hz=record.sampling_rate_hz,
        )
    return files


@pytest.fixture
def base(live: Live, live_client: httpx.Client, tmp_path: Path) -> Iterator[str]:
    file = formula_checkpoint("wcr_afib_5y", tmp_path)
    version = brought_in(live_client, file, name=BASE)
    file.unlink()
    assert version["synthetic"] is True
    yield f"{BASE}@{version['version']}"
    with live.sessions.begin() as session:
        forget_model(session, NAME)
        forget_model(session, BASE)


def begun(client: httpx.Client, base: str, files: dict[str, bytes]) -> dict[str, Any]:
    labels = "record,label\n" + "".join(f"p{n},{n % 2}\n" for n in range(len(SOURCES)))
    answer = client.post(
        "/v1/datasets",
        files=[("file", ("ward.zip", archive(files))), ("file", ("labels.csv", labels.encode()))],
        data={"name": "ward", "task": "afib-5y"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["patients"] == len(SOURCES), answer.json()
    body = {
        "task": "afib-5y",
        "dataset_id": answer.json()["id"],
        "base": base,
        "head": "keep",
        "name": NAME,
        "hyperparameters": {"epochs": EPOCHS, "batch": 4, "accumulation": 4},
    }
    answer = client.post("/v1/fine-tunes", json=body)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def kept_epochs(client: httpx.Client, run: dict[str, Any]) -> set[int]:
    """Of the last checkpoint, a gigabyte that is written after the epoch is told of."""
    kept = client.get(f"/v1/fine-tunes/{run['id']}/checkpoints").json()["data"]
    return {each["epoch"] for each in kept if each["kind"] == "last"}


def test_the_full_size_learns_a_few_steps_and_is_killed_once(
    live: Live, live_client: httpx.Client, base: str, tmp_path: Path
) -> None:
    files = ward(tmp_path)
    workers = [trainer(live.settings, tmp_path / "a.log")]
    try:
        run = begun(live_client, base, files)
        eventually(lambda: kept_epochs(live_client, run) == {1}, within_s=600)
        workers[0].kill()
        workers.append(trainer(live.settings, tmp_path / "b.log"))
        done = ended(live_client, run)
    finally:
        for worker in workers:
            worker.end()
    assert (done["status"], done["epoch"]) == ("succeeded", EPOCHS), done
    events = events_of(live_client, done)
    epochs = [data["epoch"] for kind, data in events if kind == "epoch"]
    assert epochs == list(range(1, EPOCHS + 1))  # none was computed again
    assert any("goes on from epoch" in data["message"] for kind, data in events if kind == "log")
    report = live_client.get(f"/v1/fine-tunes/{run['id']}/report").json()
    assert {"new", "base"} <= {model["role"] for model in report["models"]}
    assert report["patients"] == done["split"]["test"]["patients"]
    model = done["result_model"]
    one = {name: content for name, content in files.items() if name.startswith("p0.")}
    risks = []
    for named in (base, f"{model['name']}@{model['version']}"):
        answer = live_client.post("/v1/predict/afib-5y", files=parts(one), data={"model": named})
        assert answer.status_code == 200, answer.text
        risks.append(answer.json()["result"]["logit"])
        assert answer.json()["result"]["synthetic"] is True
    assert risks[0] != risks[1]  # it has learned something, if nothing that means anything
