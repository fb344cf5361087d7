"""As a person goes it: labelled records, a fine-tune watched and cut off, its report, promotion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.conftest import try_now
from tests.browser.records_to_show import parts_of
from tests.conftest import Live, forget_model
from tests.faults import TcpProxy
from tests.journeys.test_fine_tune_to_promotion import PATIENTS, files_of
from tests.labelled import archive
from tests.processes import trainer

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any
NAME = "page-beats"
LONG_MS = 120_000


@pytest.fixture
def training(live: Live, tmp_path: Path) -> Iterator[Live]:
    """The whole service with a trainer."""
    worker = trainer(live.settings, tmp_path / "trainer.log", ECTOPY_CHECKPOINT_EVERY_S="0.2")
    try:
        worker.wait_ready(live.sessions)
        yield live
    finally:
        worker.end()
        with live.sessions.begin() as session:
            forget_model(session, NAME)


def test_from_an_archive_to_a_promoted_model(context: Any, training: Live) -> None:
    host, port = training.url.removeprefix("http://").split(":")
    page = context.new_page()
    with TcpProxy(host, int(port)) as proxy:
        page.goto(f"http://127.0.0.1:{proxy.port}/#/datasets/new")
        make_dataset(page)
        start(page)
        watch_through_a_reload_and_a_cut(page, proxy)
        cancel_and_resume(page)
        read_the_report(page)
        promote_and_roll_back(page)
    with httpx.Client(base_url=training.url, trust_env=False) as client:
        models = {model["name"]: model for model in client.get("/v1/models").json()["data"]}
        assert models[NAME]["versions"] == 1


def make_dataset(page: Page) -> None:
    files: dict[str, bytes] = {}
    for number in range(PATIENTS):
        files |= files_of(number)
    page.get_by_label("Name").fill("a ward")
    page.get_by_label("of a .zip").check()
    page.get_by_label("Archive").set_input_files(parts_of({"ward.zip": archive(files)}))
    page.get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_text(f"{PATIENTS} records of {PATIENTS} patients")).to_be_visible()


def start(page: Page) -> None:
    """What is impossible is said beside its field; what is left alone is the guide's."""
    page.get_by_role("link", name="Fine-tune on it").click()
    page.get_by_label("Base").select_option(label="ecgbert-beats@1 (answers now)")
    page.get_by_label("Name of the model").fill(NAME)
    epochs = page.get_by_label("epochs", exact=True)
    expect(epochs).to_have_value("13")
    expect(page.get_by_text("Passes over the beats. Default: 13, from 1 to 1000.")).to_be_visible()
    epochs.fill("400")  # it will be cancelled
    page.get_by_label("batch", exact=True).fill("8")
    page.get_by_label("patience", exact=True).fill("400")
    page.evaluate("document.getElementById('h-learning_rate').removeAttribute('max')")
    page.get_by_label("learning rate", exact=True).fill("7")
    page.get_by_role("button", name="Start the fine-tune").click()
    expect(page.locator("#h-learning_rate-problem")).to_contain_text("from 1e-07 to 0.1, not '7'")
    page.get_by_role("button", name="Default of learning_rate").click()
    page.get_by_role("button", name="Start the fine-tune").click()
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()


def epochs_drawn(page: Page) -> int:
    label = page.get_by_role("img", name=re.compile("^Loss over")).get_attribute("aria-label")
    return int(re.search(r"over (\d+) epochs", label)[1])  # type: ignore[index]


def watch_through_a_reload_and_a_cut(page: Page, proxy: TcpProxy) -> None:
    curve = page.get_by_role("img", name=re.compile("^Loss over"))
    expect(curve).to_be_visible(timeout=LONG_MS)
    before = epochs_drawn(page)
    page.reload()
    expect(curve).to_be_visible()
    assert epochs_drawn(page) >= before
    figures = page.get_by_role("img", name=re.compile("F1 V"))
    expect(figures).to_be_visible()
    proxy.cut()
    expect(page.get_by_role("region", name="State")).to_contain_text("connection lost")
    at_the_cut = epochs_drawn(page)
    expect(page.get_by_role("button", name="Try now")).to_be_visible()
    proxy.restore()
    try_now(page)
    expect(page.get_by_role("region", name="State")).not_to_contain_text("connection lost")
    for _ in range(4 * LONG_MS // 1000):
        if epochs_drawn(page) > at_the_cut:
            break
        page.wait_for_timeout(250)
    assert epochs_drawn(page) > at_the_cut


def cancel_and_resume(page: Page) -> None:
    state = page.get_by_role("region", name="State")
    state.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(state.get_by_role("button", name="Resume")).to_be_visible(timeout=LONG_MS)
    expect(state).to_contain_text("cancelled")
    done = int(re.search(r"epoch (\d+) of", state.inner_text())[1])  # type: ignore[index]
    state.get_by_label("Epochs in all").fill(str(done + 1))
    state.get_by_role("button", name="Resume").click()
    expect(state).to_contain_text("succeeded", timeout=LONG_MS)
    expect(state).to_contain_text(f"epoch {done + 1} of {done + 1}")


def read_the_report(page: Page) -> None:
    report = page.get_by_role("region", name="Report")
    expect(report).to_contain_text("that this run did not train on")
    expect(report).to_contain_text(f"the new model: {NAME}@1")
    expect(report).to_contain_text("ecgbert-beats@1")
    expect(report.locator(".matrix tbody tr")).to_have_count(6)
    with page.expect_download() as coming:
        report.get_by_role("link", name="As one page (HTML)").click()
    assert coming.value.suggested_filename == f"{NAME}@1-report.html"
    assert "<svg" in coming.value.path().read_text()


def promote_and_roll_back(page: Page) -> None:
    panel = page.get_by_role("region", name="Promotion")
    panel.get_by_role("button", name="Promote").click()
    dialog = page.get_by_role("dialog")
    answers = panel.get_by_text("Answers when no model is named")
    expect(answers.or_(dialog).first).to_be_visible()
    if dialog.count():  # a model of so few beats may be worse, and is then promoted by force only
        dialog.get_by_role("button", name="Promote all the same").click()
    expect(answers).to_be_visible()
    with page.expect_download() as coming:
        panel.get_by_role("link", name="Download").click()
    assert coming.value.suggested_filename == f"{NAME}-1.zip"
    panel.get_by_role("button", name="Roll back").click()
    dialog.get_by_role("button", name="Roll back").click()
    # nothing of this name answered before: the service says so, and the version goes on
    expect(panel.get_by_role("alert")).to_contain_text("no earlier promoted version")
    expect(answers).to_be_visible()
