"""Models over HTTP."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.registry import service as registry
from services.registry.row import ModelVersionRow
from services.registry.service import Content
from tests.factories import assert_problem
from tests.fakes import FAKE_SHA256, fake_card

BASE = "/v1/models/fake-beats"


@pytest.fixture
def two_versions(fake_model: ModelVersionRow, sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        registry.add_version(
            session, DEFAULT_PROJECT, card=fake_card(), sha256="e" * 64, location="fake:"
        )


@pytest.mark.usefixtures("two_versions")
def test_models_are_listed_with_the_version_that_answers(api: TestClient) -> None:
    listed = {model["name"]: model for model in api.get("/v1/models").json()["data"]}
    expected = {"name": "fake-beats", "task": "beats", "promoted_version": 1, "versions": 2}
    assert listed["fake-beats"] == expected


@pytest.mark.usefixtures("two_versions")
def test_models_come_page_by_page(api: TestClient, sessions: SessionFactory) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/models", params=query).json()
        seen += [model["name"] for model in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert "fake-beats" in seen


@pytest.mark.usefixtures("two_versions")
def test_versions_say_what_they_are(api: TestClient) -> None:
    found = api.get(f"{BASE}/versions").json()["data"]
    assert [one["version"] for one in found] == [2, 1]
    assert [one["promoted"] for one in found] == [False, True]
    one = api.get(f"{BASE}/versions/1").json()
    assert one == found[1]
    assert (one["sha256"], one["card"], one["synthetic"]) == (FAKE_SHA256, fake_card(), True)


@pytest.mark.usefixtures("two_versions")
def test_a_version_is_promoted_and_taken_back(api: TestClient) -> None:
    assert api.post(f"{BASE}/versions/2/promote").json()["promoted_version"] == 2
    assert api.post(f"{BASE}/rollback").json()["promoted_version"] == 1
    assert_problem(api.post(f"{BASE}/rollback"), 409, "no earlier")


@pytest.mark.usefixtures("two_versions")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/v1/models/nobody/versions", 404),
        ("get", "/v1/models/no%00body/versions", 400),
        ("get", f"{BASE}/versions/9", 404),
        ("get", f"{BASE}/versions/0", 422),
        ("get", f"{BASE}/versions/99999999999", 422),
        ("get", f"{BASE}/versions/one", 422),
        ("post", f"{BASE}/versions/9/promote", 404),
        ("post", "/v1/models/nobody/rollback", 404),
        ("get", f"{BASE}/versions/1/download", 503),  # a fake has no files
        ("get", f"{BASE}/versions/9/download", 404),
    ],
)
def test_what_is_not_there_is_a_problem(
    api: TestClient, method: str, path: str, status: int
) -> None:
    assert_problem(api.request(method, path), status)


@pytest.mark.usefixtures("fake_model")
def test_a_worse_version_is_promoted_by_force_alone_and_that_is_kept(
    api: TestClient, sessions: SessionFactory
) -> None:
    difference = {"value": -0.1, "low": -0.15, "high": -0.05}
    worse = {"against": "fake-beats@1", "figure": "macro_f1", "verdict": "worse"}
    with sessions.begin() as session:
        registry.enter(
            session,
            DEFAULT_PROJECT,
            card=fake_card() | {"base": "fake-beats@1", "seed": 7, "dataset": {"id": "ds_1"}},
            content=Content("d" * 64, "c" * 64),
            location="fake:",
            report={"differences": [worse | {"difference": difference}]},
        )
    refused = api.post(f"{BASE}/versions/2/promote")
    assert_problem(
        refused, 409, "fake-beats@2 is worse than fake-beats@1 on the same test patients"
    )
    assert api.get(f"{BASE}/versions/1").json()["promoted"]
    forced = api.post(f"{BASE}/versions/2/promote", params={"force": True})
    assert (forced.status_code, forced.json()["promoted_version"]) == (200, 2)
    assert api.post(f"{BASE}/rollback").json()["promoted_version"] == 1
    back, kept, first = api.get(f"{BASE}/promotions").json()["data"]
    assert (back["action"], kept["action"], first["action"]) == ("rollback", "promote", "promote")
    assert (kept["version"], kept["previous_version"]) == (2, 1)
    assert "worse than fake-beats@1" in kept["overruled"]
    assert first["overruled"] is None
    version = api.get(f"{BASE}/versions/2").json()
    assert (version["base"], version["seed"], version["dataset"]) == (
        "fake-beats@1",
        7,
        {"id": "ds_1"},
    )
    assert (version["content_sha256"], version["hyperparameters"]) == ("c" * 64, None)
