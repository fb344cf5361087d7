"""Fine-tunes over HTTP before a worker comes: what is accepted, refused, listed and cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.db.session import SessionFactory
from services.errors import NotFound
from services.fine_tunes import service as fine_tunes
from services.fine_tunes.repository import FineTuneFilter
from tests.factories import assert_problem, upload
from tests.fakes import ListDispatcher
from tests.labelled import beats_record

URL = "/v1/fine-tunes"


@pytest.fixture
def queue(api: TestClient) -> ListDispatcher:
    queue = ListDispatcher()
    api.app.state.ectopy.dispatcher = queue  # type: ignore[attr-defined]
    return queue


def dataset_of(api: TestClient, n_patients: int) -> str:
    records = [upload(api, beats_record(f"p{n}", n))["id"] for n in range(n_patients)]
    body = {"name": "d", "task": "beats", "record_ids": records}
    found: str = api.post("/v1/datasets", json=body).json()["id"]
    return found


@pytest.fixture
def dataset(api: TestClient) -> str:
    return dataset_of(api, 3)


def body(dataset: str, **more: Any) -> dict[str, Any]:
    return {"task": "beats", "dataset_id": dataset, "base": "ecgbert-beats"} | more


def test_a_fine_tune_is_accepted_sent_listed_and_cancelled(
    api: TestClient, dataset: str, queue: ListDispatcher
) -> None:
    answer = api.post(URL, json=body(dataset, hyperparameters={"epochs": 2}))
    made = answer.json()
    assert (answer.status_code, made["status"]) == (202, "queued"), made
    assert answer.headers["location"] == f"{URL}/{made['id']}"
    assert made["id"].startswith("ft_")
    assert made["base"] == {"name": "ecgbert-beats", "version": 1}
    assert (made["epoch"], made["epochs"], made["metrics"]) == (0, 2, {})
    assert made["hyperparameters"]["learning_rate"] == 0.001
    assert made["name"] == "ecgbert-beats-tuned"
    assert made["result_model"] is None
    assert len(queue.sent) == 1
    assert api.get(f"{URL}/{made['id']}").json() == made
    assert api.get(URL, params={"task": "beats", "status": "queued"}).json()["data"] == [made]
    assert api.get(URL, params={"task": "afib-5y"}).json()["data"] == []
    assert api.get(f"{URL}/{made['id']}/checkpoints").json() == {"data": []}
    assert_problem(api.get(f"{URL}/{made['id']}/report"), 409, "there is no report")
    assert api.post(f"{URL}/{made['id']}/cancel").json()["status"] == "cancelled"
    resumed = api.post(f"{URL}/{made['id']}/resume", json={"epochs": 4})
    assert (resumed.status_code, resumed.json()["epochs"]) == (202, 4)
    assert len(queue.sent) == 2
    assert_problem(api.delete(f"/v1/datasets/{dataset}"), 409, "fine-tune")


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"hyperparameters": {"epochs": 0}}, 422, "epochs must be a whole number from 1 to 1000"),
        ({"hyperparameters": {"learning_rate": 5}}, 422, "learning_rate must be a number from"),
        ({"hyperparameters": {"nothing": 5}}, 422, "there is no hyperparameter 'nothing'"),
        ({"hyperparameters": {"freeze": "some"}}, 422, "freeze must be one of"),
        ({"hyperparameters": {"epochs": "3"}}, 422, "epochs must be a whole number"),
        ({"hyperparameters": {"test_share": 0.9}}, 422, "test_share must be a number"),
        ({"hyperparameters": {"folds": 2}}, 422, "need at least 4 patients"),
        ({"hyperparameters": {"folds": 1}}, 422, "folds must be one of 0, 2, 3"),
        ({"base": "ecgbert-beats@99"}, 404, "has no version 99"),
        ({"base": "nobody"}, 404, "there is no model nobody"),
        ({"base": "../x"}, 422, "model must be a name or name@version"),
        ({"name": "../x"}, 422, "letters, digits"),
        ({"name": "ecgbert-beats"}, 409, "comes with Ectopy"),
        ({"task": "afib-5y", "base": None}, 422, "is for beats, not for afib-5y"),
        ({"dataset_id": "ds_x"}, 404, "there is no dataset ds_x"),
        ({"head": "cut"}, 422, ""),
        ({"more": 1}, 422, ""),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(
    api: TestClient,
    dataset: str,
    queue: ListDispatcher,
    more: dict[str, Any],
    status: int,
    said: str,
) -> None:
    assert_problem(api.post(URL, json=body(dataset) | more), status, said)
    assert queue.sent == []
    assert api.get(URL).json()["data"] == []


def test_two_patients_are_too_few(api: TestClient, queue: ListDispatcher) -> None:
    answer = api.post(URL, json=body(dataset_of(api, 2)))
    assert_problem(answer, 422, "has 2 patients; at least 3 are needed")


def test_the_same_key_makes_one_fine_tune(
    api: TestClient, dataset: str, queue: ListDispatcher, sessions: SessionFactory
) -> None:
    key = {"Idempotency-Key": "once"}
    first = api.post(URL, json=body(dataset), headers=key).json()
    assert api.post(URL, json=body(dataset), headers=key).json() == first
    other = api.post(URL, json=body(dataset, head="reset"), headers=key)
    assert_problem(other, 409, "another request body")
    assert len(queue.sent) == 1


def test_the_document_has_types_ranges_and_meanings_of_hyperparameters(api: TestClient) -> None:
    schemas = api.get("/openapi.json").json()["components"]["schemas"]
    families = schemas["FineTuneIn"]["properties"]["hyperparameters"]["anyOf"]
    beats = next(each for each in families if each["title"] == "beats (ecgbert)")
    rate = beats["properties"]["learning_rate"]
    assert (rate["type"], rate["minimum"], rate["maximum"]) == ("number", 1e-07, 0.1)
    assert beats["properties"]["freeze"]["enum"] == ["none", "embedding", "encoder"]
    assert all(each["description"] for each in beats["properties"].values())
    assert "seed" in beats["properties"]


def test_another_project_sees_nothing_of_it(
    api: TestClient, dataset: str, sessions: SessionFactory
) -> None:
    made = api.post(URL, json=body(dataset)).json()
    other = FineTuneFilter("other")
    with sessions() as session:
        assert fine_tunes.find(session, made["id"], project_id="default") is not None
        assert fine_tunes.find(session, made["id"], project_id="other") is None
        assert fine_tunes.page(session, other, before_id=None, limit=9) == []
        for act in (fine_tunes.cancel, fine_tunes.report):
            with pytest.raises(NotFound):
                act(session, made["id"], project_id="other")
    for path in ("", "/report", "/events", "/checkpoints"):
        assert_problem(api.get(f"{URL}/ft_{'0' * 26}{path}"), 404)
