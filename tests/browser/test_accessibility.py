"""For everyone: axe's rules in both themes, keys alone, a phone's width, less motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser import made_runs
from tests.browser.conftest import Reader
from tests.browser.made_runs import FineTuneService
from tests.browser.records_to_show import parts_of, twelve_leads, with_reference
from tests.labelled import beats_record
from tests.signals import made_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any


def test_axe_finds_nothing_to_complain_of(page: Page, reader: Reader, tmp_path: Path) -> None:
    record = reader.stored(with_reference(tmp_path, seed=31))
    for path, there in (
        ("#/records", page.get_by_role("table")),
        (f"#/records/{record['id']}", page.get_by_text("Table of beats")),
        ("#/models", page.get_by_text("Which version answered when").first),
        ("#/models/fake-beats/1", page.get_by_text("Model card")),
    ):
        page.goto(f"{reader.url}/{path}")
        there.click()
        assert complaints_of_axe(page) == []


def test_axe_finds_nothing_in_twelve_leads_and_their_risk(page: Page, reader: Reader) -> None:
    record = reader.stored(twelve_leads(duration_s=30, seed=34))
    page.goto(f"{reader.url}/#/records/{record['id']}")
    page.get_by_role("button", name="Estimate the risk").click()
    expect(
        page.get_by_role("region", name="AFIB-5Y", exact=True).get_by_role("alert")
    ).to_be_visible()
    assert complaints_of_axe(page) == []
    page.get_by_role("region", name="AFIB-5Y", exact=True).get_by_label("Model").select_option(
        "fake-risk@1"
    )
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("3 windows").click()
    assert complaints_of_axe(page) == []


def test_axe_finds_nothing_in_datasets(page: Page, reader: Reader) -> None:
    ids = [
        reader.stored(beats_record(name, seed), read=False)["id"]
        for name, seed in (("a", 35), ("b", 36))
    ]
    body = {"name": "two", "task": "beats", "record_ids": ids}
    dataset = reader.client.post("/v1/datasets", json=body).json()
    for path, there in (
        ("#/datasets", page.get_by_role("link", name="two")),
        ("#/datasets/new", page.get_by_text("0 chosen of 2")),
        (f"#/datasets/{dataset['id']}", page.get_by_text("Leakage audit")),
    ):
        page.goto(f"{reader.url}/{path}")
        expect(there).to_be_visible()
        assert complaints_of_axe(page) == []
    page.goto(f"{reader.url}/#/records")
    page.set_input_files("#files", parts_of({"one.csv": b"1,2\n3,4\n" * 1000}))
    expect(page.get_by_role("form")).to_be_visible()
    assert complaints_of_axe(page) == []


@pytest.mark.parametrize("task", ["beats", "afib-5y"])
def test_axe_finds_nothing_in_a_fine_tune_and_its_report(
    page: Page, reader: Reader, task: str
) -> None:
    report = made_runs.beats_report() if task == "beats" else made_runs.risks_report()
    FineTuneService(page, made_runs.run("succeeded", 6, task=task), report)
    page.goto(f"{reader.url}/#/fine-tunes/{made_runs.RUN_ID}")
    for summary in page.locator(".report summary").all():
        summary.click()
    page.get_by_text("Epochs as a table").click()
    assert complaints_of_axe(page) == []


def complaints_of_axe(page: Page) -> list[Any]:
    """Of the page as it stands, in light and in dark colors."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += axe.Axe().run(page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


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
    twelve = reader.stored(twelve_leads(seed=37))
    body = {"name": "a dataset", "task": "beats", "record_ids": [record["id"]]}
    dataset = reader.client.post("/v1/datasets", json=body).json()
    FineTuneService(page, made_runs.run("succeeded", 6), made_runs.beats_report())
    for path, there in (
        ("", "made"),
        (f"#/records/{record['id']}", "39 in all"),
        (f"#/records/{twelve['id']}", "19 in all"),
        ("#/datasets", "a dataset"),
        ("#/datasets/new", "0 chosen of 1"),
        (f"#/datasets/{dataset['id']}", "Leakage audit"),
        (f"#/fine-tunes/{made_runs.RUN_ID}", "Confusion matrix"),
        ("#/models", "fake-beats@1"),
    ):
        page.goto(f"{reader.url}/{path}")
        expect(page.get_by_text(there).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


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
