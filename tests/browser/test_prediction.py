"""A reading on its way: progress, cancel, a network that goes and comes, a service that is gone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Reader, Watched, try_now
from tests.browser.records_to_show import parts_of
from tests.faults import TcpProxy
from tests.signals import made_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any


def begun(page: Page, reader: Reader, *, seed: int, url: str = "") -> None:
    """A record is uploaded and its reading waits in the middle."""
    reader.hold()
    page.goto(url or reader.url)
    page.set_input_files("#files", parts_of(made_files(seed=seed)))
    reader.wait_until_it_reads()
    expect(page.get_by_text("Reading the beats")).to_be_visible()


def test_progress_is_shown_while_a_record_is_read(page: Page, reader: Reader) -> None:
    begun(page, reader, seed=21)
    expect(page.get_by_role("progressbar", name="Prediction")).to_have_js_property("value", 0.5)
    expect(page.get_by_text("Reading the beats, 50 %")).to_be_visible()
    reader.open()
    expect(page.get_by_text("19 in all")).to_be_visible()


def test_a_reading_is_cancelled_and_asked_for_again(page: Page, reader: Reader) -> None:
    begun(page, reader, seed=22)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The reading was cancelled.")).to_be_visible()
    reader.open()
    page.get_by_role("button", name="Read the beats").click()
    expect(page.get_by_text("19 in all")).to_be_visible()


def test_a_network_cut_in_the_middle_is_said_and_the_reading_goes_on_after_it(
    page: Page, reader: Reader, context: Any, watched: Watched
) -> None:
    begun(page, reader, seed=23)
    context.set_offline(True)
    lost = page.get_by_role("alert").filter(has_text="Connection lost")
    expect(lost).to_be_visible()
    expect(page.get_by_role("heading", name="made")).to_be_visible()
    reader.open()
    context.set_offline(False)
    expect(page.get_by_text("19 in all")).to_be_visible()
    expect(lost).to_be_hidden()
    streams = [one for one in watched.requests if one.url.endswith("/events")]
    assert "last-event-id" not in streams[0].all_headers()
    assert streams[-1].all_headers()["last-event-id"].isdecimal()


def test_a_service_that_goes_and_comes_back_is_found_again_without_a_reload(
    page: Page, reader: Reader, proxy: TcpProxy
) -> None:
    begun(page, reader, seed=24, url=f"http://127.0.0.1:{proxy.port}")
    proxy.cut()
    expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    expect(page.get_by_role("heading", name="made")).to_be_visible()
    expect(page.get_by_role("button", name="Try now")).to_be_visible()
    proxy.restore()
    reader.open()
    try_now(page)
    expect(page.get_by_text("19 in all")).to_be_visible()


def test_a_reading_that_failed_says_why_and_can_be_tried_again(page: Page, reader: Reader) -> None:
    files = {
        name.replace("made", "unreadable"): content.replace(b"made", b"unreadable")
        if name.endswith(".hea")
        else content
        for name, content in made_files(seed=25).items()
    }
    page.goto(reader.url)
    page.set_input_files("#files", parts_of(files))
    problem = page.get_by_role("alert").filter(has_text="no lead of this record can be read")
    expect(problem).to_be_visible()
    expect(problem.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("application")).to_be_visible()


def test_a_record_that_is_not_there_says_so(page: Page, reader: Reader) -> None:
    page.goto(f"{reader.url}/#/records/rec_none")
    expect(page.get_by_role("alert")).to_contain_text("there is no record rec_none")
    page.get_by_role("link", name="Records").click()
    expect(page.get_by_role("heading", name="Records")).to_be_visible()
