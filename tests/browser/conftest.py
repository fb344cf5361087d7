"""The page in a real Chromium, on a real service whose predictor answers what is known."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from api.main import create_app
from ectopy.commands.migrate import bring_up
from services.access.caller import DEFAULT_PROJECT
from services.db.session import engine_for, session_factory
from services.registry import service as registry
from services.settings import Settings
from tests.conftest import broker_database
from tests.factories import upload
from tests.fakes import HOLD, STARTED, enter_fake_model
from tests.faults import TcpProxy, eventually
from tests.processes import WorkerProcess, new_database, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# no connection of the browser's own: a machine without the web would only wait for them
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 15_000
RISK_CARD = {"name": "fake-risk", "task": "afib-5y", "family": "deepecg"}


def try_now(page: Page) -> None:
    """Has the page look for the service at once, unless its own next look came first."""
    from playwright.sync_api import TimeoutError as NotThere

    with suppress(NotThere):
        page.get_by_role("button", name="Try now").click(timeout=2_000)


@dataclass(frozen=True)
class Reader:
    """The service with a predictor that waits at a gate: a beat every half second, N, V, N, V."""

    url: str
    gate: Path
    client: httpx.Client

    def hold(self) -> None:
        (self.gate / STARTED).unlink(missing_ok=True)
        (self.gate / HOLD).touch()

    def open(self) -> None:
        (self.gate / HOLD).unlink(missing_ok=True)

    def wait_until_it_reads(self) -> None:
        eventually((self.gate / STARTED).exists, what="no prediction began")

    def stored(self, files: dict[str, bytes], *, read: bool = True) -> dict[str, Any]:
        """The record of these files, its beats read."""
        record = upload(self.client, files)
        if read:
            body = {"record_id": record["id"], "task": "beats"}
            answer = self.client.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"})
            assert answer.json()["status"] == "succeeded", answer.text
        return record


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where the browser is; the test is skipped where there is none."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dev extra)")
    found = os.environ.get("ECTOPY_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("no Chromium here: install Debian's `chromium`, or set ECTOPY_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def running_reader(
    chromium_path: str, servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("page")
    url = new_database(servers[0], "page")
    bring_up(url)
    settings = Settings(
        _env_file=None,
        data_dir=folder / "data",
        database_url=url.render_as_string(hide_password=False),
        broker_url=broker_database(servers[1], 2),
        lease_s=4.0,
        resend_after_s=2.0,
        log_level="WARNING",
    )
    engine = engine_for(settings.database)
    sessions = session_factory(engine)
    with sessions.begin() as session:
        enter_fake_model(session)
        # known but not promoted: afib-5y answers 503 unless it is named
        registry.add_version(
            session,
            DEFAULT_PROJECT,
            card=RISK_CARD,
            sha256="e" * 64,
            location="fake:",
            synthetic=True,
        )
    gate = folder / "gate"
    gate.mkdir()
    worker = WorkerProcess(
        settings,
        folder / "worker.log",
        app="tests.worker.fake_app:app",
        ECTOPY_TEST_GATE=str(gate),
        ECTOPY_DEVICE="cpu",
    )
    try:
        with (
            served(create_app(settings)) as address,
            httpx.Client(base_url=address, timeout=60, trust_env=False) as client,
        ):
            worker.wait_ready(sessions)
            yield Reader(address, gate, client)
    finally:
        engine.dispose()
        worker.end()


@pytest.fixture
def reader(running_reader: Reader) -> Iterator[Reader]:
    """Without records and datasets, and its gate open."""
    running_reader.open()
    for dataset in running_reader.client.get("/v1/datasets?limit=100").json()["data"]:
        running_reader.client.delete(f"/v1/datasets/{dataset['id']}")
    for record in running_reader.client.get("/v1/records?limit=100").json()["data"]:
        running_reader.client.delete(f"/v1/records/{record['id']}")
    yield running_reader
    running_reader.open()


# for a module at a time: while Playwright runs, its event loop holds this thread, and tests of
# other modules start loops of their own
@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=flags)
        yield browser
        browser.close()


@dataclass
class Watched:
    """What the page asked for and complained about."""

    requests: list[Any]
    complaints: list[str]
    failed: list[str]

    def paths(self, part: str) -> list[str]:
        return [request.url for request in self.requests if part in request.url]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, reduced_motion="reduce", accept_downloads=True
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def watched(context: BrowserContext) -> Watched:
    """Everything asked for and every complaint, from here on."""
    seen = Watched([], [], [])
    context.on("requestfailed", lambda one: seen.failed.append(f"{one.url}: {one.failure}"))
    context.on("request", lambda request: seen.requests.append(request))
    context.on("weberror", lambda error: seen.complaints.append(str(error.error)))
    context.on(
        "console",
        lambda said: seen.complaints.append(said.text) if said.type == "error" else None,
    )
    return seen


@pytest.fixture
def page(context: BrowserContext, watched: Watched, reader: Reader) -> Iterator[Page]:
    """A new page; nothing that it does may leave the service's origin or break its own policy."""
    page = context.new_page()
    go_once = page.goto

    def go(url: str, **options: Any) -> Any:
        """Chromium gives up what it loads when a network of the machine comes or goes, as
        containers' networks do: that is not the page's fault, and it is loaded again."""
        for _ in range(4):
            watched.failed.clear()
            answer = go_once(url, **options)
            if not any("ERR_NETWORK_CHANGED" in failed for failed in watched.failed):
                break
            go_once("about:blank")
        return answer

    page.goto = go  # type: ignore[method-assign]
    yield page
    print("failed requests:", watched.failed)  # read where a test failed  # noqa: T201
    ours = ("http://127.0.0.1:", "data:", "about:")
    assert [one.url for one in watched.requests if not one.url.startswith(ours)] == []
    assert [one for one in watched.complaints if not is_of_the_network(one)] == []


def is_of_the_network(complaint: str) -> bool:
    """The browser itself reports each answer that is an error, and each lost connection."""
    return complaint.startswith("Failed to load resource")


@pytest.fixture
def proxy(reader: Reader) -> Iterator[TcpProxy]:
    """A way to the service that can break."""
    host, port = reader.url.removeprefix("http://").split(":")
    with TcpProxy(host, int(port)) as proxy:
        yield proxy
