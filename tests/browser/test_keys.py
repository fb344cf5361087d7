"""A service that wants an API key: asked for, kept, sent with everything, refused in its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from api.main import create_app
from ectopy.commands.migrate import bring_up
from services.access import keys
from services.db.session import engine_for, session_factory
from services.settings import Settings
from tests.browser.conftest import Watched
from tests.browser.records_to_show import parts_of
from tests.conftest import broker_database
from tests.factories import upload
from tests.processes import new_database, served
from tests.signals import made_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any


@dataclass(frozen=True)
class Keyed:
    """A service without a worker, and keys of it: one for all, one that only reads."""

    url: str
    full: str
    reading: str


@pytest.fixture(scope="module")
def keyed(servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    url = new_database(servers[0], "page_keys")
    bring_up(url)
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("keys") / "data",
        database_url=url.render_as_string(hide_password=False),
        broker_url=broker_database(servers[1], 3),
        log_level="WARNING",
    )
    engine = engine_for(settings.database)
    with session_factory(engine).begin() as session:
        _, full = keys.create(session, name="full", scopes=["read", "predict", "train", "admin"])
        _, reading = keys.create(session, name="reading", scopes=["read"])
    with served(create_app(settings)) as address:
        yield Keyed(address, full, reading)
    engine.dispose()


@pytest.fixture
def record(keyed: Keyed) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {keyed.full}"}
    with httpx.Client(base_url=keyed.url, headers=headers, trust_env=False) as client:
        return upload(client, made_files(seed=71))


def give(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()


def test_a_key_is_asked_for_once_and_kept_for_the_tab(
    page: Page, keyed: Keyed, record: dict[str, Any], watched: Watched
) -> None:
    page.goto(f"{keyed.url}/#/records/{record['id']}")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_count(1)
    expect(dialog).to_contain_text("ectopy keys create")
    give(page, "ectopy_wrong")
    expect(dialog).to_contain_text("unknown, has expired or was revoked")
    give(page, keyed.full)
    expect(page.get_by_role("heading", name="made")).to_be_visible()
    expect(page.locator(".strip")).to_have_count(2)
    page.reload()
    expect(page.locator(".strip")).to_have_count(2)
    assert page.evaluate("localStorage.getItem('ectopy.key')") is None
    sent = [one for one in watched.requests if "/signal?" in one.url]
    assert sent
    assert all(one.headers["authorization"] == f"Bearer {keyed.full}" for one in sent)
    assert not [one for one in watched.requests if keyed.full in one.url]
    page.get_by_role("button", name="Key", exact=True).click()
    page.get_by_role("button", name="Forget it").click()
    expect(page.get_by_role("dialog")).to_contain_text("asks for an API key")


def test_uploads_and_events_carry_the_key(page: Page, keyed: Keyed, watched: Watched) -> None:
    page.goto(keyed.url)
    give(page, keyed.full)
    expect(page.get_by_role("heading", name="Records")).to_be_visible()
    page.set_input_files("#files", parts_of(made_files(seed=72)))
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()  # there is none here
    (events,) = [one for one in watched.requests if one.url.endswith("/events")]
    assert events.headers["authorization"] == f"Bearer {keyed.full}"


def test_too_little_right_is_said_and_another_key_can_be_used(
    page: Page, keyed: Keyed, record: dict[str, Any]
) -> None:
    page.goto(keyed.url)
    give(page, keyed.reading)
    expect(page.get_by_role("link", name="made").first).to_be_visible()
    page.set_input_files("#files", parts_of(made_files(seed=73)))
    problem = page.locator(".uploads .failure")
    expect(problem).to_contain_text("scope predict or train; this one has: read")
    problem.get_by_role("button", name="Use another key").click()
    page.get_by_label("Another key").fill(keyed.full)
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()


def test_a_file_is_fetched_with_the_key_and_saved(
    page: Page, keyed: Keyed, record: dict[str, Any]
) -> None:
    page.goto(f"{keyed.url}/#/records/{record['id']}")
    give(page, keyed.full)
    page.get_by_text("Files of this record").click()
    with page.expect_download() as coming:
        page.get_by_role("link", name="EDF+").click()
    assert coming.value.suggested_filename == "made.edf"
    assert coming.value.path().read_bytes().startswith(b"0       ")


def test_without_a_key_the_page_says_what_is_missing(page: Page, keyed: Keyed) -> None:
    page.goto(keyed.url)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("an API key is needed")
    page.get_by_role("button", name="Enter a key").click()
    give(page, keyed.reading)
    expect(page.get_by_role("heading", name="Records")).to_be_visible()
