"""Twelve leads: the sheet on ECG paper, the stacked view beside it, the five-year risk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Reader
from tests.browser.records_to_show import twelve_leads
from tests.conftest import SHARED
from tests.signals import made_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any

PX_A_MM = 96 / 25.4
GUTTER_PX = 46
GEORGIA = SHARED / "data" / "formats" / "wfdb-mat"


def opened(page: Page, reader: Reader, files: dict[str, bytes], *, read: bool = False) -> None:
    page.set_viewport_size({"width": 1500, "height": 1000})
    record = reader.stored(files, read=read)
    page.goto(f"{reader.url}/#/records/{record['id']}")
    expect(page.get_by_label("Scale")).to_contain_text("mm/mV")
    page.wait_for_load_state("networkidle")


def test_the_sheet_has_each_lead_at_its_place_and_on_scale(page: Page, reader: Reader) -> None:
    opened(page, reader, twelve_leads(seed=1))
    expect(page.locator(".sheet")).to_be_visible()
    expect(page.get_by_label("Scale")).to_have_text("25 mm/s · 10 mm/mV")
    # from S to R: 1.18 times the size of the R peak, for the largest lead of a row's column
    tall_px = {"V4": 1.2, "V1": 0.4, "aVR": 0.7, "I": 0.5}
    columns = ["I", "aVR", "V1", "V4"]
    for name, size_mv in tall_px.items():
        reach = reach_of(page, columns.index(name))
        assert reach["tall"] == pytest.approx(1.18 * size_mv * 10 * PX_A_MM, abs=3), name
    # a lead that points down starts on the same line and goes the other way
    down = reach_of(page, 2)
    up = reach_of(page, 3)
    assert down["bottom"] > up["bottom"]
    assert down["top"] > up["top"] + 30


def test_the_leads_can_be_stacked_and_the_choice_is_kept(page: Page, reader: Reader) -> None:
    opened(page, reader, twelve_leads(duration_s=30, seed=2))
    place = page.locator(".trace-tools .place")
    expect(place).to_have_text("0:00.0 – 0:10.0")
    page.keyboard.press("ArrowRight")
    expect(place).to_have_text("0:02.5 – 0:12.5")
    page.keyboard.press("+")  # a sheet keeps its scale
    expect(place).to_have_text("0:02.5 – 0:12.5")
    page.get_by_role("button", name="Leads one below the other").click()
    expect(page.locator(".strip")).to_have_count(12)
    expect(page.locator(".sheet")).to_be_hidden()
    page.keyboard.press("w")
    expect(place).to_have_text("0:00.0 – 0:30.0")
    page.reload()
    expect(page.locator(".strip").first).to_be_visible()
    page.keyboard.press("l")
    expect(page.locator(".sheet")).to_be_visible()
    expect(place).to_contain_text("0:10.0")


def test_beats_stand_on_the_sheet_and_are_stepped_through(page: Page, reader: Reader) -> None:
    opened(page, reader, twelve_leads(duration_s=30, seed=3), read=True)
    page.keyboard.press("v")
    expect(page.locator("#status")).to_contain_text("V beat at 0:01.00")
    for _ in range(14):
        page.keyboard.press("v")
    expect(page.locator("#status")).to_contain_text("V beat at 0:15.00")
    expect(page.locator(".trace-tools .place")).to_have_text("0:10.0 – 0:20.0")
    assert page.evaluate(PIXELS_OF, [".sheet > canvas:nth-child(2)", [213, 94, 0]]) > 300
    assert page.evaluate(PIXELS_OF, [".sheet > canvas:first-child", [213, 94, 0]]) > 300


def test_a_record_with_two_leads_has_no_sheet_and_no_risk(page: Page, reader: Reader) -> None:
    opened(page, reader, made_files(seed=41))
    expect(page.locator(".strip")).to_have_count(2)
    expect(page.get_by_role("button", name="12-lead sheet")).to_have_count(0)
    expect(page.get_by_text("Estimate the risk")).to_have_count(0)
    page.keyboard.press("l")
    expect(page.locator("#status")).to_contain_text("needs the twelve leads")


def test_without_a_promoted_model_it_is_said_what_to_do_and_another_can_be_named(
    page: Page, reader: Reader
) -> None:
    opened(page, reader, twelve_leads(duration_s=30, seed=4))
    panel = page.get_by_role("region", name="AFIB-5Y", exact=True)
    panel.get_by_role("button", name="Estimate the risk").click()
    expect(panel.get_by_role("alert")).to_contain_text("ectopy models import wcr_afib_5y.pt")
    panel.get_by_label("Model").select_option("fake-risk@1")
    panel.get_by_role("button", name="Try again").click()
    risk = page.get_by_role("region", name="AFIB-5Y risk")
    expect(risk).to_contain_text("40.0 %")
    expect(risk).to_contain_text("high")
    expect(risk).to_contain_text("At or above the threshold of 23.1 %")
    expect(risk).to_contain_text("Not calibrated")
    expect(risk).to_contain_text("this figure is not a risk")
    expect(risk.get_by_role("link", name="fake-risk@1")).to_be_visible()
    expect(risk).to_contain_text("Research use only")
    risk.get_by_text("3 windows").click()
    risk.get_by_role("button", name="0:20 60.0 %").click()
    expect(page.locator(".trace-tools .place")).to_have_text("0:20.0 – 0:30.0")
    page.reload()
    expect(page.get_by_role("region", name="AFIB-5Y risk")).to_contain_text("40.0 %")


def test_a_model_chosen_while_the_list_is_on_its_way_stays_chosen(
    page: Page, reader: Reader
) -> None:
    opened(page, reader, twelve_leads(duration_s=30, seed=5))
    panel = page.get_by_role("region", name="AFIB-5Y", exact=True)
    held: list[Any] = []
    page.route("**/v1/models?*", lambda route: held.append(route))
    panel.get_by_role("button", name="Estimate the risk").click()
    expect(panel.get_by_role("alert")).to_be_visible()
    choice = panel.get_by_label("Model")
    choice.select_option("fake-risk@1")
    assert held, "the list was not asked for"
    before = choice.locator("option").first.element_handle()
    page.unroute("**/v1/models?*")  # lets those go that are held
    before.wait_for_element_state("hidden")  # others have taken its place
    expect(choice).to_have_value("fake-risk@1")


@pytest.mark.parametrize("name", ["E07500", "HR06000"])
def test_real_twelve_lead_files_become_a_sheet(page: Page, reader: Reader, name: str) -> None:
    if not GEORGIA.is_dir():
        pytest.skip("the example files (../shared/data/formats) are not here")
    files = {
        Path(f"{name}{end}").name: (GEORGIA / f"{name}{end}").read_bytes()
        for end in (".hea", ".mat")
    }
    opened(page, reader, files)
    expect(page.locator(".sheet")).to_be_visible()
    assert page.evaluate(PIXELS_OF, [".sheet > canvas:first-child", [27, 33, 38]]) > 2000


def reach_of(page: Page, column: int) -> dict[str, float]:
    found: dict[str, float] = page.evaluate(INK_REACH, [column, PX_A_MM * 25 * 2.5, GUTTER_PX])
    return found


PIXELS_OF = """([where, wanted]) => {
  const canvas = document.querySelector(where);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4)
    if (wanted.every((value, k) => Math.abs(data[i + k] - value) < 12)) found += 1;
  return found;
}"""

# where the line of a cell in the first row is; away from the lead's name and the divider
INK_REACH = """([column, wide, gutter]) => {
  const canvas = document.querySelector(".sheet > canvas:first-child");
  const context = canvas.getContext("2d");
  const left = Math.round(gutter + column * wide) + 60;
  const width = Math.round(wide) - 66;
  const { data } = context.getImageData(left, 0, width, Math.round(canvas.height / 3));
  const rows = [];
  for (let i = 0; i < data.length; i += 4)
    if ([27, 33, 38].every((value, k) => Math.abs(data[i + k] - value) < 90))
      rows.push(Math.floor(i / 4 / width));
  return { top: rows[0], bottom: rows.at(-1), tall: rows.at(-1) - rows[0] };
}"""
