"""Files in: sent, read, shown; and what is said when they cannot be."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import Reader, Watched
from tests.browser.records_to_show import parts_of
from tests.signals import made_ecg, made_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any


def test_a_chosen_record_is_stored_read_and_shown(
    page: Page, reader: Reader, example: dict[str, bytes]
) -> None:
    page.goto(reader.url)
    page.set_input_files("#files", parts_of(example))
    expect(page.get_by_role("heading", name="208_excerpt")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/records/rec_\w+$"))
    summary = page.get_by_role("region", name="Beats", exact=True)
    expect(summary).to_contain_text("599 in all")
    expect(summary).to_contain_text("Research use only. Not a medical device.")
    expect(summary.get_by_role("link", name="fake-beats@1")).to_be_visible()


def test_an_open_record_survives_a_reload(page: Page, reader: Reader) -> None:
    record = reader.stored(made_files(seed=1))
    page.goto(f"{reader.url}/#/records/{record['id']}")
    expect(page.get_by_text("19 in all")).to_be_visible()
    page.reload()
    expect(page.get_by_text("19 in all")).to_be_visible()


def test_dropped_files_become_a_record_each_however_many_they_are(
    page: Page, reader: Reader
) -> None:
    page.goto(reader.url)
    files = renamed(made_files(seed=2), "first") | renamed(made_files(seed=3), "second")
    page.evaluate(DROP, [[name, list(content)] for name, content in files.items()])
    for name in ("first", "second"):
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("10 s")
    stored = reader.client.get("/v1/records").json()["data"]
    assert {record["name"] for record in stored} == {"first", "second"}


def test_a_zip_goes_in_as_one_record(page: Page, reader: Reader) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in made_files(seed=4).items():
            archive.writestr(name, content)
    page.goto(reader.url)
    page.set_input_files("#files", parts_of({"packed.zip": packed.getvalue()}))
    expect(page.get_by_text("19 in all")).to_be_visible()


def test_a_bad_upload_says_what_the_service_says_and_leaves_the_page(
    page: Page, reader: Reader
) -> None:
    files = made_files(seed=5)
    said = reader.client.post(
        "/v1/records", files=[("file", ("made.hea", files["made.hea"], "text/plain"))]
    ).json()
    page.goto(reader.url)
    page.set_input_files("#files", parts_of({"made.hea": files["made.hea"]}))
    problem = page.get_by_role("alert").filter(has_text=said["title"])
    expect(problem).to_contain_text(said["detail"])
    expect(page.get_by_role("heading", name="Records")).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(problem).to_have_count(0)


def csv_of(values_a_lead: int, *, seed: int) -> bytes:
    """Two columns of counts, which say neither rate nor unit nor leads."""
    signal, _ = made_ecg(duration_s=values_a_lead / 250, sampling_rate_hz=250.0, seed=seed)
    rows = (np.round(signal * 1000)).astype(int).T.tolist()
    return "".join(f"{a},{b}\n" for a, b in rows).encode()


def test_what_a_file_does_not_say_is_asked_for_and_kept_for_the_next(
    page: Page, reader: Reader
) -> None:
    page.goto(reader.url)
    page.set_input_files("#files", parts_of({"one.csv": csv_of(2500, seed=61)}))
    form = page.get_by_role("form", name="What one.csv does not say")
    expect(form).to_contain_text("does not say its sampling rate")
    form.get_by_label("Sampling rate").fill("250")
    form.get_by_label("Unit").select_option("uV")
    form.get_by_label("Leads").fill("I, II, III")
    form.get_by_label("Patient").fill("p-17")
    form.get_by_role("button", name="Send with these").click()
    expect(form).to_contain_text("has 2 leads, 3 are named")
    expect(form.get_by_label("Sampling rate")).to_have_value("250")
    expect(form.get_by_label("Patient")).to_have_value("p-17")
    form.get_by_label("Leads").fill("II, V5")
    form.get_by_role("button", name="Send with these").click()
    expect(page.get_by_role("heading", name="one")).to_be_visible()
    expect(page.get_by_text("2 leads · 10 s · 250 Hz · CSV · patient p-17")).to_be_visible()
    (record,) = reader.client.get("/v1/records").json()["data"]
    assert [lead["name"] for lead in record["leads"]] == ["II", "V5"]
    answer = reader.client.get(f"/v1/records/{record['id']}/signal?max_points=4000").json()
    assert 0.9 < max(answer["leads"][0]["value"]) < 1.2  # counts were microvolts


def test_files_that_lack_the_same_are_sent_with_the_same(page: Page, reader: Reader) -> None:
    page.goto(reader.url)
    files = {f"{name}.csv": csv_of(2500, seed=seed) for name, seed in (("a", 62), ("b", 63))}
    page.set_input_files("#files", parts_of(files))
    expect(page.get_by_role("form")).to_have_count(2)
    form = page.get_by_role("form", name="What a.csv does not say")
    form.get_by_label("Sampling rate").fill("250")
    form.get_by_role("button", name="Send all that ask").click()
    expect(page.get_by_role("form")).to_have_count(0)
    expect(page.locator("tbody tr")).to_have_count(2)
    rates = [one["sampling_rate_hz"] for one in reader.client.get("/v1/records").json()["data"]]
    assert rates == [250.0, 250.0]


def test_an_upload_that_the_network_cut_is_sent_again_once_it_is_back(
    page: Page, reader: Reader, context: Any
) -> None:
    page.goto(reader.url)
    expect(page.get_by_text("No records yet.")).to_be_visible()
    context.set_offline(True)
    page.set_input_files("#files", parts_of(made_files(seed=6)))
    expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    context.set_offline(False)
    expect(page.get_by_text("19 in all")).to_be_visible()
    assert len(reader.client.get("/v1/records").json()["data"]) == 1


def test_a_record_is_removed_only_after_a_question(page: Page, reader: Reader) -> None:
    reader.stored(made_files(seed=7), read=False)
    page.goto(reader.url)
    page.get_by_role("button", name="Remove made").click()
    page.get_by_role("button", name="Keep it").click()
    assert len(reader.client.get("/v1/records").json()["data"]) == 1
    page.get_by_role("button", name="Remove made").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No records yet.")).to_be_visible()
    assert reader.client.get("/v1/records").json()["data"] == []


def test_many_records_are_listed_page_by_page(page: Page, reader: Reader) -> None:
    for seed in range(27):
        reader.stored(renamed(made_files(duration_s=4, seed=100 + seed), f"r{seed}"), read=False)
    page.goto(reader.url)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(25)
    page.get_by_role("button", name="Older records").click()
    expect(rows).to_have_count(27)
    expect(page.get_by_role("button", name="Older records")).to_have_count(0)


def test_the_page_is_loaded_under_a_strict_policy(
    page: Page, reader: Reader, watched: Watched
) -> None:
    answer = page.goto(reader.url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    expect(page.get_by_role("heading", name="Records")).to_be_visible()
    assert watched.complaints == []
    page.evaluate(INLINE_SCRIPT)
    assert page.evaluate("window.ran") is None
    assert watched.complaints != []
    watched.complaints.clear()


def test_a_part_of_the_page_that_does_not_come_is_said_and_not_a_blank_page(
    page: Page, reader: Reader
) -> None:
    page.route("**/web/ecg/trace.js", lambda route: route.abort())
    page.goto(reader.url)
    expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    page.unroute("**/web/ecg/trace.js")
    page.get_by_role("button", name="Load again").click()
    expect(page.get_by_role("heading", name="Records")).to_be_visible()


def renamed(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {
        file.replace("made", name): content.replace(b"made", name.encode())
        if file.endswith(".hea")
        else content
        for file, content in files.items()
    }


DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
  const part = { dataTransfer: transfer, bubbles: true, cancelable: true };
  const drop = (kind) => new DragEvent(kind, part);
  document.body.dispatchEvent(drop("dragover"));
  document.body.dispatchEvent(drop("drop"));
}"""

INLINE_SCRIPT = """() => {
  const script = document.createElement("script");
  try {
    script.text = "window.ran = true";
    document.body.append(script);
  } catch {}
}"""
