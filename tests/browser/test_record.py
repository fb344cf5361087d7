"""One record: the trace, the keys, the legend, the reference, the table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records import wfdb_files
from tests.browser.conftest import Reader, Watched
from tests.browser.records_to_show import with_reference
from tests.faults import eventually
from tests.signals import made_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any

PX_A_SECOND = 25 * 96 / 25.4  # at 25 mm/s
GUTTER_PX = 46


@pytest.fixture
def open_record(page: Page, reader: Reader) -> Any:
    """Opens the record of these files, its beats read and drawn."""

    def opened(files: dict[str, bytes]) -> dict[str, Any]:
        record = reader.stored(files)
        page.goto(f"{reader.url}/#/records/{record['id']}")
        expect(page.get_by_role("region", name="Beats", exact=True)).to_be_visible()
        expect(page.locator(".trace-waiting")).to_have_count(0)
        return record

    return opened


def status(page: Page) -> Any:
    return page.locator("#status")


def place(page: Page) -> Any:
    return page.locator(".trace-tools .place")


def test_keys_go_from_beat_to_beat(page: Page, open_record: Any) -> None:
    open_record(made_files(duration_s=20, seed=1))
    for key, said in (
        ("n", "V beat at 0:01.00"),
        ("n", "V beat at 0:02.00"),
        ("p", "V beat at 0:01.00"),
        (".", "N beat at 0:01.50"),
        (",", "V beat at 0:01.00"),
        ("v", "V beat at 0:02.00"),
        ("Shift+V", "V beat at 0:01.00"),
        ("s", "No further S beat"),
        ("f", "No further F beat"),
        ("q", "No further Q beat"),
        ("u", "Least certain, number 1 of 39"),
    ):
        page.keyboard.press(key)
        expect(status(page)).to_contain_text(said)
    expect(page.locator(".beat-line")).to_contain_text("RR after500 ms")


def test_keys_pan_zoom_and_reach_both_ends(page: Page, open_record: Any) -> None:
    open_record(made_files(duration_s=60, seed=2))
    page.keyboard.press("w")
    expect(place(page)).to_have_text("0:00.0 – 1:00.0")
    page.keyboard.press("+")
    expect(place(page)).to_have_text("0:10.0 – 0:50.0")
    page.keyboard.press("ArrowRight")
    expect(place(page)).to_have_text("0:20.0 – 1:00.0")
    page.keyboard.press("Home")
    expect(place(page)).to_have_text("0:00.0 – 0:40.0")
    page.keyboard.press("End")
    expect(place(page)).to_have_text("0:20.0 – 1:00.0")
    page.keyboard.press("-")
    expect(place(page)).to_have_text("0:00.0 – 1:00.0")
    page.keyboard.press("0")
    expect(page.get_by_label("Scale")).to_have_text("25 mm/s · 10 mm/mV")


def test_the_keys_are_listed_and_can_be_turned_off(page: Page, open_record: Any) -> None:
    open_record(made_files(seed=3))
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Next V beat")
    dialog.get_by_label("Keys that are one letter").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("n")
    page.keyboard.press("End")
    expect(place(page)).to_contain_text("– 0:10.0")
    expect(status(page)).not_to_contain_text("V beat")


def test_a_key_is_heard_as_soon_as_the_dialog_is_closed(page: Page, open_record: Any) -> None:
    """The browser leaves the focus on the dialog's field for a moment: told here with no wait."""
    open_record(made_files(seed=13))
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Keys that are one letter").focus()
    page.evaluate(
        """() => {
            const field = document.activeElement;
            field.closest("dialog").close();
            field.dispatchEvent(new KeyboardEvent("keydown", {key: "End", bubbles: true}));
        }"""
    )
    expect(place(page)).to_contain_text("– 0:10.0")


def test_the_legend_hides_and_shows_a_class(page: Page, open_record: Any) -> None:
    open_record(made_files(seed=4))
    page.get_by_text("Table of beats").click()
    rows = page.locator(".beat-table tbody tr")
    expect(rows).to_have_count(19)
    toggle = page.get_by_role("button", name=re.compile("^V Ventricular ectopic"))
    expect(toggle).to_have_attribute("aria-pressed", "true")
    before = drawn_in_class_color(page)
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    expect(rows).to_have_count(10)
    eventually(lambda: drawn_in_class_color(page) < before / 4)  # with the next frame
    toggle.click()
    expect(rows).to_have_count(19)


def test_hovering_tells_class_probability_and_rr(page: Page, open_record: Any) -> None:
    open_record(made_files(seed=5))
    box = page.locator(".trace").bounding_box()
    start = box["x"] + GUTTER_PX
    page.mouse.move(start + 2.0 * PX_A_SECOND + 3, box["y"] + 80)
    tip = page.locator(".tip")
    expect(tip).to_contain_text("Ventricular ectopic")
    expect(tip).to_contain_text("0.800")
    expect(tip).to_contain_text("500 ms")
    page.mouse.move(start + 2.25 * PX_A_SECOND, box["y"] + 80)
    expect(tip).to_be_hidden()


def test_a_click_below_moves_the_view(page: Page, open_record: Any) -> None:
    open_record(made_files(duration_s=120, seed=6))
    box = page.get_by_role("slider", name="Place in the record").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 4, box["y"] + 20)
    expect(place(page)).to_contain_text("– 2:00.0")


def test_a_half_hour_is_drawn_from_few_points_at_every_scale(
    page: Page, open_record: Any, watched: Watched
) -> None:
    open_record(wfdb_files(30, variant=900))
    page.keyboard.press("w")
    expect(place(page)).to_have_text("0:00.0 – 30:00.0")
    for _ in range(20):
        page.keyboard.press("+")
    page.wait_for_load_state("networkidle")
    expect(page.get_by_label("Scale")).to_contain_text(" mm/s")
    asked = watched.paths("/signal?")
    points = [int(re.search(r"max_points=(\d+)", url)[1]) for url in asked]  # type: ignore[index]
    assert max(points) <= 4096
    assert len(asked) <= 80
    eventually(lambda: ink_in_the_first_lead(page) > 200)


def test_disagreements_with_the_reference_are_counted_and_stepped_through(
    page: Page, open_record: Any, tmp_path: Path
) -> None:
    open_record(with_reference(tmp_path))
    panel = page.get_by_role("region", name="Reference")
    expect(panel).to_contain_text("3 disagreements")
    for key, said in (
        ("d", "Disagreement 1 of 3 at 0:01.00: reference N, model V"),
        ("d", "Disagreement 2 of 3 at 0:02.00: reference extra, model V"),
        ("d", "reference S, model missed"),
        ("d", "No further disagreement"),
        ("Shift+D", "Disagreement 2 of 3"),
    ):
        page.keyboard.press(key)
        expect(status(page)).to_contain_text(said)
    panel.get_by_role("button", name="Reference S, model missed: 1").click()
    expect(panel).to_contain_text("S read as missed")
    expect(status(page)).to_contain_text("Disagreement 1 of 1")


def test_results_are_downloaded_as_files(page: Page, open_record: Any) -> None:
    open_record(made_files(seed=8))
    for link, end in (("Beats as CSV", ".csv"), ("WFDB annotations", ".zip")):
        with page.expect_download() as coming:
            page.get_by_role("link", name=link).click()
        assert coming.value.suggested_filename.endswith(end)


def test_the_model_of_a_result_has_its_card(page: Page, open_record: Any) -> None:
    open_record(made_files(seed=9))
    page.get_by_role("link", name="fake-beats@1").click()
    expect(page.get_by_role("heading", name="fake-beats @ 1")).to_be_visible()
    expect(page.get_by_role("heading", name="Model card")).to_be_visible()


def test_the_theme_is_chosen_and_kept(page: Page, open_record: Any) -> None:
    open_record(made_files(seed=10))
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark colors").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def drawn_in_class_color(page: Page) -> int:
    """Pixels of the letters' lane in the color of class V."""
    found: int = page.evaluate(COUNT_PIXELS, [".trace > canvas", [213, 94, 0]])
    return found


def ink_in_the_first_lead(page: Page) -> int:
    """Pixels of the first lead as dark as its line."""
    found: int = page.evaluate(COUNT_PIXELS, [".strip canvas", [27, 33, 38]])
    return found


COUNT_PIXELS = """([where, wanted]) => {
  const canvas = document.querySelector(where);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4)
    if (wanted.every((value, k) => Math.abs(data[i + k] - value) < 12)) found += 1;
  return found;
}"""
