"""Who did what to which resource: written for every change, and changed by nobody."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from api.main import create_app
from services.access import keys
from services.db.session import SessionFactory
from services.settings import Settings
from tests.factories import assert_problem, parts, upload
from tests.signals import made_files


def trail(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/audit", params=query).json()["data"]
    return found


def test_changes_are_told_newest_first_and_reading_is_not(api: TestClient) -> None:
    record = upload(api, made_files())["id"]
    api.get(f"/v1/records/{record}")
    api.delete(f"/v1/records/{record}")
    found = trail(api)
    assert [(one["action"], one["resource"], one["status"]) for one in found] == [
        ("DELETE /v1/records/{record_id}", f"/v1/records/{record}", 204),
        ("POST /v1/records", f"/v1/records/{record}", 201),
    ]
    assert {(one["key_id"], one["client"]) for one in found} == {(None, "127.0.0.1")}


def test_what_was_refused_is_told_too(api: TestClient, sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        row, text_ = keys.create(session, name="a", scopes=["read"])
        _, admin = keys.create(session, name="b", scopes=["admin"])
        _, other = keys.create(session, name="c", scopes=["admin"], project_id="other")
    reader = {"Authorization": f"Bearer {text_}"}
    assert api.post("/v1/records", files=parts(made_files()), headers=reader).status_code == 403
    api.headers["Authorization"] = f"Bearer {admin}"
    (entry,) = trail(api)
    assert (entry["key_id"], entry["status"]) == (row.id, 403)
    assert trail(api, key_id=row.id) == [entry]
    assert trail(api, key_id="key_none") == []
    api.headers["Authorization"] = f"Bearer {other}"
    assert trail(api) == []


def test_the_trail_comes_page_by_page(api: TestClient) -> None:
    for _ in range(3):
        api.delete("/v1/records/rec_none")
    seen, cursor = [], None
    while True:
        page = api.get("/v1/audit", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        seen += page.json()["data"]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert [one["status"] for one in seen] == [404] * 3
    assert_problem(api.get("/v1/audit", params={"cursor": "cmVjX3g="}), 400)


def test_reading_is_told_where_it_is_so_set(settings: Settings) -> None:
    told = settings.model_copy(update={"audit_reads": True})
    with TestClient(create_app(told), client=("127.0.0.1", 1)) as client:
        record = upload(client, made_files())["id"]
        client.get("/v1/records")
        client.get(f"/v1/records/{record}/signal")
        assert trail(client)[0]["action"] == "GET /v1/records/{record_id}/signal"


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_events set key_id = 'key_other'",
        "delete from audit_events",
        "truncate audit_events",
    ],
)
def test_the_database_refuses_to_change_the_trail(
    api: TestClient, sessions: SessionFactory, statement: str
) -> None:
    api.delete("/v1/records/rec_none")
    with sessions() as session, pytest.raises((ProgrammingError, SQLAlchemyError), match="added"):
        session.execute(text(statement))
    assert len(trail(api)) == 1
