"""A page of another site gets nothing done through a browser on this machine."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from services.access import keys
from services.db.session import SessionFactory
from services.settings import Settings
from tests.factories import assert_problem, parts
from tests.signals import made_files

OURS = "127.0.0.1:8000"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", ""]
)
@pytest.mark.parametrize("path", ["/v1/records", "/metrics", "/v1/system"])
def test_a_name_that_was_made_to_mean_this_machine_is_refused(
    api: TestClient, host: str, path: str
) -> None:
    assert_problem(api.get(path, headers={"Host": host}), 403, "ECTOPY_ALLOWED_HOSTS")


@pytest.mark.parametrize("host", [OURS, "127.0.0.1", "localhost:8000", "[::1]:8000", "LOCALHOST"])
def test_this_machine_s_own_names_and_addresses_are_answered(api: TestClient, host: str) -> None:
    assert api.get("/v1/records", headers={"Host": host}).status_code == 200


def test_a_name_of_the_settings_is_answered(settings: Settings) -> None:
    named = settings.model_copy(update={"allowed_hosts": "ecg.ward, other.ward"})
    with TestClient(create_app(named), client=("127.0.0.1", 1)) as client:
        assert client.get("/v1/records", headers={"Host": "ecg.ward:80"}).status_code == 200
        assert_problem(client.get("/v1/records", headers={"Host": "evil.ward"}), 403)
        proxied = {"Host": OURS, "Origin": "https://ecg.ward"}
        assert post(client, **proxied).status_code == 201


def post(client: TestClient, **headers: str) -> Any:
    return client.post("/v1/records", files=parts(made_files()), headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://localhost:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_s_page_changes_nothing(api: TestClient, headers: dict[str, str]) -> None:
    assert_problem(post(api, Host=OURS, **headers), 403, "another site")
    assert api.get("/v1/records").json()["data"] == []


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": f"http://{OURS}", "Sec-Fetch-Site": "same-origin"}]
)
def test_our_page_and_programs_do(api: TestClient, headers: dict[str, str]) -> None:
    assert post(api, Host=OURS, **headers).status_code == 201


def test_a_key_is_asked_for_no_origin(settings: Settings, sessions: SessionFactory) -> None:
    """No page of another site knows it."""
    with sessions.begin() as session:
        _, text = keys.create(session, name="a", scopes=["predict"])
    with TestClient(create_app(settings), client=("10.1.2.3", 1)) as client:
        answer = post(client, Authorization=f"Bearer {text}", Origin="https://ehr.example")
        assert answer.status_code == 201


def test_answers_are_no_part_of_other_pages_and_kept_by_no_browser(api: TestClient) -> None:
    for path in ("/v1/records", "/v1/nothing", "/docs", "/", "/healthz"):
        headers = api.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] in ("DENY", "SAMEORIGIN")
    assert api.get("/v1/records").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_no_script_of_a_page_is_inline(api: TestClient, path: str) -> None:
    page = api.get(path)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "<script>" not in page.text
    assert " onclick=" not in page.text
