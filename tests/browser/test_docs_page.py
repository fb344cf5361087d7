"""The interface's page works under its own policy: nothing inline, nothing from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import Reader


def test_the_interface_is_shown_and_can_be_tried(page: Page, reader: Reader) -> None:
    page.goto(f"{reader.url}/docs")
    operation = page.locator("#operations-operations-healthz_healthz_get")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    operation.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
