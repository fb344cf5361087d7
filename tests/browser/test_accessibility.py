"""For everyone: axe's rules in both themes, keys alone, a phone's width, less motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Reader
from tests.browser.records_to_show import with_reference
from tests.signals import made_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(
    page: Page, reader: Reader, tmp_path: Path, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    record = reader.stored(with_reference(tmp_path, seed=31))
    for path, there in (
        ("#/records", page.get_by_role("table")),
        (f"#/records/{record['id']}", page.get_by_text("Table of beats")),
        ("#/models/fake-beats/1", page.get_by_text("Model card")),
    ):
        page.goto(f"{reader.url}/{path}")
        there.click()
        found = axe.Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


def test_a_record_is_opened_and_read_with_keys_alone(page: Page, reader: Reader) -> None:
    reader.stored(made_files(duration_s=20, seed=32))
    page.goto(reader.url)
    expect(page.get_by_role("link", name="made")).to_be_visible()
    focus_on(page, "made")
    page.keyboard.press("Enter")
    expect(page.get_by_text("39 in all")).to_be_visible()
    focus_on(page, "ECG trace of made, leads")
    page.keyboard.press("n")
    expect(page.locator("#status")).to_contain_text("V beat at 0:01.00, probability 0.80")
    focus_on(page, "Table of beats")
    page.keyboard.press("Enter")
    focus_on(page, "Show the beat at 0:01.50")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("N beat at 0:01.50")


def test_nothing_is_cut_off_at_a_phones_width(page: Page, reader: Reader, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    record = reader.stored(with_reference(tmp_path, seed=33))
    for path, there in (("", "made"), (f"#/records/{record['id']}", "39 in all")):
        page.goto(f"{reader.url}/{path}")
        expect(page.get_by_text(there).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def focus_on(page: Page, name: str) -> None:
    """Tabs until the element of this name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED).startswith(name):
            return
    raise AssertionError(f"{name} is not reached with the Tab key")


FOCUSED = """() => {
  const it = document.activeElement;
  return (it.getAttribute("aria-label") ?? it.textContent).trim();
}"""
