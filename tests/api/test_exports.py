"""Records and findings as files, through the API: each is read back by a reader of its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from api.routers import exports as routes
from services.db.session import SessionFactory
from services.ecg.readers.base import Limits, SourceFile
from services.ecg.readers.detect import read_record
from services.ecg.record import EcgRecord
from services.settings import Settings
from tests.api.test_predictions import finished
from tests.factories import assert_problem, predict, upload
from tests.signals import made_files

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def record(api: TestClient) -> dict[str, Any]:
    return upload(api, made_files(), name="made", patient_id="p-1")


@pytest.fixture
def prediction(api: TestClient, sessions: SessionFactory, record: dict[str, Any]) -> dict[str, Any]:
    made = predict(api, record["id"])
    finished(sessions, made["id"])
    found: dict[str, Any] = api.get(f"/v1/predictions/{made['id']}").json()
    return found


def read_back(content: bytes, name: str, folder: Path) -> EcgRecord:
    path = folder / "file"
    path.write_bytes(content)
    work = folder / "work"
    work.mkdir()
    return read_record([SourceFile(name, path)], limits=Limits(), workspace=work)


@pytest.mark.parametrize(("file_format", "name"), [("wfdb", "made.zip"), ("edf", "made.edf")])
def test_a_record_comes_back_as_the_file_that_was_asked_for(
    api: TestClient, record: dict[str, Any], tmp_path: Path, file_format: str, name: str
) -> None:
    answer = api.get(f"/v1/records/{record['id']}/download?format={file_format}")
    assert answer.status_code == 200
    assert f'filename="{name}"' in answer.headers["content-disposition"]
    back = read_back(answer.content, name, tmp_path)
    drawn = api.get(f"/v1/records/{record['id']}/signal?max_points=100000").json()
    for lead, values in zip(drawn["leads"], back.signal, strict=True):
        kept = values[: record["n_samples"]]  # EDF fills up its last data record
        np.testing.assert_allclose(kept, lead["value"], atol=0.005)


@pytest.mark.parametrize("file_format", ["wfdb", "edf"])
def test_a_large_file_comes_from_the_disk_and_leaves_nothing_there(
    api: TestClient,
    settings: Settings,
    record: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    file_format: str,
) -> None:
    path = f"/v1/records/{record['id']}/download?format={file_format}"
    small = api.get(path)
    monkeypatch.setattr(routes, "IN_MEMORY_BYTES", 1000)
    large = api.get(path)
    assert large.content == small.content
    assert int(large.headers["content-length"]) == len(large.content) > 1000
    assert not list((settings.data_dir / "tmp").iterdir())


@pytest.mark.parametrize(("file_format", "name"), [("wfdb", "made.zip"), ("edf", "made.edf")])
def test_the_labelled_record_carries_the_beats_as_annotations(
    api: TestClient, prediction: dict[str, Any], tmp_path: Path, file_format: str, name: str
) -> None:
    answer = api.get(f"/v1/predictions/{prediction['id']}/record?format={file_format}")
    assert answer.status_code == 200
    back = read_back(answer.content, name, tmp_path)
    assert back.annotations is not None
    beats = prediction["result"]["beats"]
    assert back.annotations.sample.tolist() == [beat["sample"] for beat in beats]
    assert list(back.annotations.symbol) == [beat["label"] for beat in beats]


def test_the_report_is_one_page_of_pdf(api: TestClient, prediction: dict[str, Any]) -> None:
    answer = api.get(f"/v1/predictions/{prediction['id']}/report.pdf")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert answer.content.count(b"/Type /Page\n") == 1


def test_a_report_from_behind_the_end_is_refused(
    api: TestClient, prediction: dict[str, Any]
) -> None:
    answer = api.get(f"/v1/predictions/{prediction['id']}/report.pdf?start_s=1000")
    assert_problem(answer, 422, "past the end")


def test_fhir_counts_the_beats_and_names_the_patient_by_its_pseudonym(
    api: TestClient, prediction: dict[str, Any]
) -> None:
    answer = api.get(f"/v1/predictions/{prediction['id']}/fhir")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json"
    resources = [entry["resource"] for entry in answer.json()["entry"]]
    assert {resource["status"] for resource in resources} == {"preliminary"}
    assert "p-1" in answer.text
    counted = sum(
        part["valueQuantity"]["value"] for one in resources for part in one.get("component", ())
    )
    assert counted == len(prediction["result"]["beats"])


@pytest.mark.parametrize("part", ["record", "report.pdf", "fhir"])
def test_files_of_an_unfinished_prediction_are_a_conflict(
    api: TestClient, record: dict[str, Any], part: str
) -> None:
    made = predict(api, record["id"])
    assert_problem(api.get(f"/v1/predictions/{made['id']}/{part}"), 409, "queued")
