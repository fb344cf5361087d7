"""A site's own threshold and risk curve: a new version, fitted to answers that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from services import clock, ids
from services.access.caller import DEFAULT_PROJECT
from services.datasets.row import DatasetMemberRow, DatasetRow
from services.db.session import SessionFactory
from services.jobs import lifecycle
from services.jobs.dispatch import PREDICT_QUEUE, RUN_PREDICTION
from services.models.deepecg.family import FAMILY
from services.models.deepecg.importing import import_classifier
from services.predictions.row import PredictionItemRow, PredictionRow
from services.registry import service as registry
from services.registry.files import put_version, stored_location, version_folder
from services.registry.row import ModelVersionRow
from services.registry.service import content_of
from services.settings import Settings
from services.storage.factory import store_for
from services.training.progress import NoProgress
from tests.conftest import forget_model
from tests.factories import assert_problem, kept_files, record_row
from tests.services.models.deepecg.small import (
    SMALL,
    classifier_tensors,
    saved,
    small_network,
    twelve_lead_record,
)

NAME = "deepecg-afib-5y"
URL = f"/v1/models/{NAME}/versions/1/calibration"


@pytest.fixture
def version(
    sessions: SessionFactory, settings: Settings, tmp_path: Path
) -> Iterator[ModelVersionRow]:
    """A small classifier in the registry, its files in the store."""
    file = saved(tmp_path / "wcr_afib_5y.pt", classifier_tensors(small_network()))
    card = import_classifier(file, into=tmp_path / "model", config=SMALL)
    location = stored_location(ids.new_id("imp"))
    put_version(store_for(settings), location, tmp_path / "model")
    content = content_of(tmp_path / "model")
    with sessions.begin() as session:
        row = registry.enter(
            session, DEFAULT_PROJECT, card=card, content=content, location=location
        )
    yield row
    with sessions.begin() as session:
        forget_model(session, NAME)


def predicted(session: Session, version: ModelVersionRow, record_id: str, logit: float) -> None:
    """As a worker that has predicted this leaves it."""
    prediction_id = ids.new_id("pred")
    job = lifecycle.create(
        session, kind=RUN_PREDICTION, queue=PREDICT_QUEUE, resource_id=prediction_id
    )
    prediction = PredictionRow(
        id=prediction_id,
        project_id=DEFAULT_PROJECT,
        job_id=job.id,
        task="afib-5y",
        model_name=version.name,
        model_version=version.version,
        weights_sha256=version.sha256,
        options={"preparation": "record"},
        code_version="0",
        created_at=clock.now(),
    )
    item = PredictionItemRow(
        prediction_id=prediction_id,
        position=0,
        record_id=record_id,
        record_sha256="0" * 64,
        done=True,
        summary={"logit": logit},
    )
    session.add(prediction)
    session.flush()
    session.add(item)
    session.commit()


def dataset(
    session: Session, labels: list[float], *, task: str = "afib-5y", sha256: str = "d" * 64
) -> tuple[str, list[str]]:
    """Its id and its records' ids."""
    found = [record_row(session).id for _ in labels]
    dataset_id = ids.new_id("ds")
    session.add(
        DatasetRow(
            id=dataset_id,
            name="ward 3",
            task=task,
            sha256=sha256,
            n_records=len(labels),
            n_patients=len(labels),
            counts={},
            left_out_count=0,
            left_out=[],
            audit={},
            created_at=clock.now(),
        )
    )
    session.flush()
    for place, (record_id, label) in enumerate(zip(found, labels, strict=True)):
        member = {"record_id": record_id, "record_sha256": "0" * 64, "name": record_id}
        session.add(
            DatasetMemberRow(
                dataset_id=dataset_id,
                position=place,
                patient=record_id,
                label=label,
                counts={},
                **member,
            )
        )
    session.commit()
    return dataset_id, found


def outcomes(count: int = 60) -> tuple[list[float], list[float]]:
    """Logits and labels that rise together, not quite."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, count)
    return logits.tolist(), (logits + rng.normal(0, 1, count) > 1).astype(float).tolist()


def test_a_threshold_makes_a_version_that_answers_by_it(
    api: TestClient, version: ModelVersionRow, settings: Settings
) -> None:
    answer = api.post(URL, json={"threshold": 0.9})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["version"], made["sha256"]) == (2, version.sha256)
    assert made["card"]["threshold"] == {"value": 0.9, "source": "set by this site"}
    assert made["card"]["calibrated_from"] == f"{NAME}@1"
    assert answer.headers["location"] == f"/v1/models/{NAME}/versions/2"
    with version_folder(store_for(settings), version.location, version.sha256) as folder:
        before = FAMILY.load(folder, device="cpu")
    location = stored_location_of(api, 2, settings)
    with version_folder(store_for(settings), location, version.sha256) as folder:
        after = FAMILY.load(folder, device="cpu")
    record = twelve_lead_record()
    first, second = (
        loaded.predict(record, options={}, progress=NoProgress()) for loaded in (before, after)
    )
    assert (first.logit, first.risk) == (second.logit, second.risk)
    assert (first.threshold, second.threshold) == (0.231, 0.9)
    assert "threshold 0.9: set by this site" in second.notes


def stored_location_of(api: TestClient, number: int, settings: Settings) -> str:
    sessions = api.app.state.ectopy.sessions  # type: ignore[attr-defined]
    with sessions() as session:
        row: ModelVersionRow = registry.version(session, DEFAULT_PROJECT, NAME, number)
        return row.location


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibration_is_fitted_to_what_the_version_said(
    api: TestClient, version: ModelVersionRow, session: Session, method: str
) -> None:
    logits, labels = outcomes()
    dataset_id, found = dataset(session, labels)
    for record_id, logit in zip(found, logits, strict=True):
        predicted(session, version, record_id, -99.0)  # an older answer: the last one counts
        predicted(session, version, record_id, logit)
    answer = api.post(URL, json={"dataset_id": dataset_id, "method": method})
    assert answer.status_code == 201, answer.text
    card = answer.json()["card"]
    assert (card["calibration"]["method"], card["calibration"]["recordings"]) == (method, 60)
    assert card["calibrated_on"] == {"id": dataset_id, "name": "ward 3", "sha256": "d" * 64}
    assert "Youden index over 60 records of dataset ward 3" in card["threshold"]["source"]
    with_own = api.post(URL, json={"dataset_id": dataset_id, "method": method, "threshold": 0.5})
    assert with_own.json()["card"]["threshold"]["value"] == 0.5
    assert with_own.json()["card"]["calibration"] == card["calibration"]


@pytest.mark.usefixtures("version")
def test_the_same_again_is_the_same_version(api: TestClient) -> None:
    first = api.post(URL, json={"threshold": 0.4})
    again = api.post(URL, json={"threshold": 0.4})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


@pytest.mark.usefixtures("version")
def test_an_idempotency_key_stands_for_one_calibration(api: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first = api.post(URL, json={"threshold": 0.4}, headers=headers)
    again = api.post(URL, json={"threshold": 0.4}, headers=headers)
    assert again.json() == first.json()
    other = api.post(URL, json={"threshold": 0.5}, headers=headers)
    assert_problem(other, 409, "another request body")


def test_records_without_an_answer_are_named(
    api: TestClient, version: ModelVersionRow, session: Session, settings: Settings
) -> None:
    logits, labels = outcomes(30)
    dataset_id, found = dataset(session, labels)
    for record_id, logit in list(zip(found, logits, strict=True))[:-1]:
        predicted(session, version, record_id, logit)
    before = kept_files(settings)
    problem = assert_problem(api.post(URL, json={"dataset_id": dataset_id}), 409, "1 of 30 records")
    assert found[-1] in problem["detail"]
    assert kept_files(settings) == before


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "give a threshold"),
        ({"method": "platt"}, 422, "give a threshold"),
        ({"threshold": 1.0}, 422, ""),
        ({"threshold": 0.3, "method": "other"}, 422, ""),
        ({"dataset_id": "ds_none"}, 404, "there is no dataset"),
        ({"threshold": 0.3, "surprise": 1}, 422, ""),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    api: TestClient, body: dict[str, Any], status: int, says: str
) -> None:
    assert_problem(api.post(URL, json=body), status, says)


def test_labels_that_are_swapped_are_refused(
    api: TestClient, version: ModelVersionRow, session: Session
) -> None:
    logits, labels = outcomes(40)
    dataset_id, found = dataset(session, [1.0 - label for label in labels])
    for record_id, logit in zip(found, logits, strict=True):
        predicted(session, version, record_id, logit)
    assert_problem(api.post(URL, json={"dataset_id": dataset_id}), 422, "swapped")


def test_a_dataset_that_the_version_was_trained_on_is_refused(
    api: TestClient, version: ModelVersionRow, session: Session, sessions: SessionFactory
) -> None:
    dataset_id, _ = dataset(session, [0.0, 1.0])
    with sessions.begin() as other:
        row = registry.version(other, DEFAULT_PROJECT, NAME, 1)
        row.card = row.card | {"dataset": {"id": dataset_id, "sha256": "d" * 64}}
    assert_problem(api.post(URL, json={"dataset_id": dataset_id}), 422, "was trained on dataset")


@pytest.mark.usefixtures("version")
def test_a_dataset_of_beats_is_refused(api: TestClient, session: Session) -> None:
    dataset_id, _ = dataset(session, [0.0], task="beats")
    assert_problem(api.post(URL, json={"dataset_id": dataset_id}), 422, "is for the task beats")


def test_a_beat_model_has_no_threshold(api: TestClient, fake_model: ModelVersionRow) -> None:
    url = f"/v1/models/{fake_model.name}/versions/1/calibration"
    assert_problem(api.post(url, json={"threshold": 0.3}), 422, "afib-5y")


def test_a_version_whose_files_are_gone_is_said_to_be(
    api: TestClient, version: ModelVersionRow, settings: Settings
) -> None:
    store_for(settings).delete_all(version.location.removeprefix("store:") + "/")
    assert_problem(api.post(URL, json={"threshold": 0.3}), 503, "import it again")
    assert json.loads(api.get(f"/v1/models/{NAME}/versions").text)["data"][0]["version"] == 1
