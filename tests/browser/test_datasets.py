"""Datasets: of records that are here, of an archive, and what the page tells of one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Reader
from tests.browser.records_to_show import parts_of
from tests.faults import TcpProxy
from tests.labelled import archive, beats_record, rhythm, twelve_leads
from tests.signals import made_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any


def test_annotated_records_become_a_dataset(page: Page, reader: Reader) -> None:
    for seed, name in enumerate(("a", "b", "c"), start=81):
        reader.stored(beats_record(name, seed), read=False)
    reader.stored(made_files(seed=84), read=False)  # without annotations
    page.goto(f"{reader.url}/#/datasets")
    page.get_by_role("link", name="New dataset").first.click()
    page.get_by_label("Name").fill("three records")
    expect(page.get_by_text("0 chosen of 3 that fit the task.")).to_be_visible()
    expect(page.get_by_label("Choose made")).to_be_disabled()
    page.get_by_role("button", name="Choose all shown").click()
    page.get_by_label("Patient of a").fill("p-1")
    page.get_by_label("Patient of b").fill("p-1")
    page.get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_role("heading", name="three records")).to_be_visible()
    expect(page.get_by_text("Beats · 3 records of 2 patients")).to_be_visible()
    (dataset,) = reader.client.get("/v1/datasets").json()["data"]
    shown = page.get_by_role("region", name="Counts by class")
    for label, name in (("N", "Normal or bundle"), ("V", "V Ventricular ectopic")):
        row = shown.get_by_role("row").filter(has_text=name)
        expect(row).to_contain_text(str(dataset["counts"][label]))
    expect(page.get_by_text("Records without a patient")).to_be_visible()
    page.get_by_role("link", name="c", exact=True).click()
    expect(page.get_by_role("heading", name="c", exact=True)).to_be_visible()


def test_an_archive_says_what_was_left_out_and_why(page: Page, reader: Reader) -> None:
    files = beats_record("a", 85) | beats_record("b", 86)
    bare = {name.replace("made", "bare"): content for name, content in made_files(seed=87).items()}
    bare["bare.hea"] = bare["bare.hea"].replace(b"made", b"bare")
    page.goto(f"{reader.url}/#/datasets/new")
    page.get_by_label("Name").fill("an archive")
    page.get_by_label("of a .zip").check()
    packed = archive(files | bare | {"notes.md": b"# notes"})
    page.get_by_label("Archive").set_input_files(parts_of({"records.zip": packed}))
    page.get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_role("heading", name="an archive")).to_be_visible()
    left = page.get_by_role("region", name="Left out")
    expect(left.get_by_role("row").filter(has_text="no reference annotations")).to_contain_text(
        "bare.hea (with bare.dat)"
    )
    expect(left.get_by_role("row").filter(has_text="not a record")).to_contain_text("notes.md")
    page.get_by_role("button", name="Remove an archive").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No datasets yet.")).to_be_visible()
    assert len(reader.client.get("/v1/records").json()["data"]) == 2


def test_outcomes_are_given_by_hand_or_in_a_table(page: Page, reader: Reader) -> None:
    for n in range(3):
        reader.stored(twelve_leads(f"r{n}", 88 + n), read=False)
    page.goto(f"{reader.url}/#/datasets/new")
    page.get_by_label("Name").fill("by hand")
    page.get_by_label("AFIB-5Y").check()
    page.get_by_role("button", name="Choose all shown").click()
    page.get_by_label("Whether AF followed r0").select_option("yes")
    page.get_by_label("Whether AF followed r1").select_option("no")
    page.get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_text("AFIB-5Y · 2 records of 2 patients")).to_be_visible()
    expect(page.get_by_role("region", name="Left out")).to_contain_text("r2")
    page.goto(f"{reader.url}/#/datasets/new")
    page.get_by_label("Name").fill("by table")
    page.get_by_label("AFIB-5Y").check()
    page.get_by_label("of a .zip").check()
    packed = archive(twelve_leads("r0", 88) | twelve_leads("r1", 89))
    page.get_by_label("Archive").set_input_files(parts_of({"r.zip": packed}))
    table = b"record,label,patient_id\nr0,1,p\nr1,0,p\n"
    page.get_by_label("labels.csv").set_input_files(parts_of({"labels.csv": table}))
    page.get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_text("AFIB-5Y · 2 records of 1 patient")).to_be_visible()


def test_what_the_files_of_an_archive_do_not_say_is_sent_along(page: Page, reader: Reader) -> None:
    signal, _ = rhythm(93, duration_s=10, n_leads=12)
    rows = "\n".join(",".join(f"{value:.3f}" for value in row) for row in signal.T)
    page.goto(f"{reader.url}/#/datasets/new")
    page.get_by_label("Name").fill("of tables")
    page.get_by_label("AFIB-5Y").check()
    page.get_by_label("of a .zip").check()
    packed = archive({"t.csv": rows.encode(), "labels.csv": b"record,label\nt,1\n"})
    page.get_by_label("Archive").set_input_files(parts_of({"tables.zip": packed}))
    page.get_by_text("For files that do not say it").click()
    page.get_by_label("Sampling rate").fill("360")
    page.get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_text("AFIB-5Y · 1 record of 1 patient")).to_be_visible()
    (record,) = reader.client.get("/v1/records").json()["data"]
    assert record["sampling_rate_hz"] == 360.0


def test_what_is_wrong_with_an_archive_is_said_and_the_form_stays(
    page: Page, reader: Reader
) -> None:
    page.goto(f"{reader.url}/#/datasets/new")
    page.get_by_label("Name").fill("no archive")
    page.get_by_label("of a .zip").check()
    page.get_by_label("Archive").set_input_files(parts_of({"records.zip": b"no zip at all"}))
    page.get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_role("alert")).to_contain_text("0 archives and 1 other files came")
    expect(page.get_by_label("Name")).to_have_value("no archive")


def test_a_dataset_that_the_network_cut_is_made_once(
    page: Page, reader: Reader, proxy: TcpProxy
) -> None:
    for seed, name in ((91, "a"), (92, "b")):
        reader.stored(beats_record(name, seed), read=False)
    page.goto(f"http://127.0.0.1:{proxy.port}/#/datasets/new")
    page.get_by_label("Name").fill("cut")
    page.get_by_role("button", name="Choose all shown").click()
    expect(page.get_by_text("2 chosen")).to_be_visible()
    proxy.cut()
    page.get_by_role("button", name="Make the dataset").click()
    problem = page.get_by_role("alert").filter(has_text="does not answer").first
    expect(problem).to_be_visible()
    proxy.restore()
    page.get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_role("heading", name="cut")).to_be_visible()
    assert len(reader.client.get("/v1/datasets").json()["data"]) == 1
