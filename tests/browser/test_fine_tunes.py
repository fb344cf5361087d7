"""Fine-tunes and reports as the service tells of them: answers are made, the rest is the page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser import made_runs
from tests.browser.conftest import Reader
from tests.browser.made_runs import RUN_ID, FineTuneService, answer

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

Page = Any


def test_the_report_of_beats_is_read_in_full(page: Page, reader: Reader) -> None:
    report = made_runs.beats_report()
    FineTuneService(page, made_runs.run("succeeded", 6), report)
    page.goto(f"{reader.url}/#/fine-tunes/{RUN_ID}")
    shown = page.get_by_role("region", name="Report")
    new = report["models"][0]
    expect(shown).to_contain_text(f"{new['macro_f1']['value']:.3f} [")
    expect(shown).to_contain_text("▲ better than ecgbert-beats@1 (base): macro F1 +0.1")
    expect(shown).to_contain_text("Read with care")
    expect(shown.locator("figure.bars")).to_have_count(3)
    assert shown.locator("figure.bars .report-bar").count() == 3 * 5 * 3
    row = shown.locator(".matrix tbody tr").nth(2)  # V
    assert row.locator("td").all_inner_texts() == [f"{n:,}" for n in new["confusion"]["counts"][2]]
    shown.get_by_role("button", name="ecgbert-beats@1").click()
    base = report["models"][1]["confusion"]["counts"][2]
    expect(row.locator("td").nth(2)).to_have_text(f"{base[2]:,}")
    shown.get_by_text("Every tested record").click()
    expect(shown.get_by_role("link", name="107")).to_be_visible()


def test_bars_are_as_high_as_their_figures(page: Page, reader: Reader) -> None:
    report = made_runs.beats_report()
    FineTuneService(page, made_runs.run("succeeded", 6), report)
    page.goto(f"{reader.url}/#/fine-tunes/{RUN_ID}")
    bars = page.locator("figure.bars").first.locator(".report-bar")
    expect(bars).to_have_count(15)
    for at, label in ((0, "N"), (4, "S"), (9, "F")):
        found = report["models"][at % 3]["per_class"][at // 3]
        assert found["label"] == label
        height = float(bars.nth(at).get_attribute("height"))
        assert height / 130 == pytest.approx(found["f1"]["value"], abs=0.005)


def test_the_report_of_risks_has_reliability_and_thresholds(page: Page, reader: Reader) -> None:
    report = made_runs.risks_report()
    FineTuneService(page, made_runs.run("succeeded", 6, task="afib-5y"), report)
    page.goto(f"{reader.url}/#/fine-tunes/{RUN_ID}")
    shown = page.get_by_role("region", name="Report")
    new = report["models"][0]
    expect(shown).to_contain_text(f"{new['auroc']['value']:.3f} [")
    points = shown.locator("figure.unit-plot").first.locator("circle.m0")
    expect(points).to_have_count(len(new["calibration"]))
    bin_of = new["calibration"][3]
    assert float(points.nth(3).get_attribute("cx")) == pytest.approx(
        44 + 250 * bin_of["mean_risk"], abs=0.1
    )
    shown.get_by_text("At other thresholds").click()
    expect(shown).to_contain_text("0.231 (its own)")


def test_curves_come_from_what_is_kept_and_from_the_events(page: Page, reader: Reader) -> None:
    run = made_runs.run("succeeded", 6)
    # the row is behind: what the events tell is drawn as well
    FineTuneService(page, run, made_runs.beats_report())
    page.route(f"**/v1/fine-tunes/{RUN_ID}", lambda r: answer(r, run | {"history": []}))
    page.goto(f"{reader.url}/#/fine-tunes/{RUN_ID}")
    curves = page.get_by_role("img", name=re.compile("^Loss over 6 epochs; at the last: training"))
    expect(curves).to_be_visible()
    figures = page.get_by_role("img", name=re.compile("^On validation patients over 6 epochs"))
    expect(figures).to_have_attribute("aria-label", re.compile(r"F1 V 0\.8\d\d"))
    page.get_by_text("Epochs as a table").click()
    expect(page.get_by_role("region", name="Figures by epoch").locator("tbody tr")).to_have_count(6)
    log = page.get_by_role("region", name="Events")
    expect(log).to_contain_text("best so far: epoch 6 (macro F1 0.8")
    expect(log.get_by_text("testing on patients")).to_have_count(1)


def test_a_run_is_cancelled_only_after_a_question_and_can_be_resumed(
    page: Page, reader: Reader
) -> None:
    service = FineTuneService(page, made_runs.run("running", 3), None)
    page.goto(f"{reader.url}/#/fine-tunes/{RUN_ID}")
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("epoch 3 of 6")
    expect(state).to_contain_text("about 2 min of training left")
    state.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Go on").click()
    assert service.sent == []
    state.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(state).to_contain_text("cancelled")
    service.report = made_runs.beats_report()
    state.get_by_label("Epochs in all").fill("9")
    state.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("region", name="State")).to_contain_text("succeeded")
    assert service.sent == [(f"{RUN_ID}/cancel", None), (f"{RUN_ID}/resume", {"epochs": 9})]


def test_a_worse_version_is_promoted_only_by_force_and_rolled_back(
    page: Page, reader: Reader
) -> None:
    service = FineTuneService(page, made_runs.run("succeeded", 6), made_runs.beats_report())
    page.goto(f"{reader.url}/#/fine-tunes/{RUN_ID}")
    panel = page.get_by_role("region", name="Promotion")
    panel.get_by_role("button", name="Promote").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("macro F1 is worse than that of ward-3-beats@1")
    dialog.get_by_role("button", name="Leave it").click()
    expect(panel).to_contain_text("Answers only where it is named")
    expect(panel.get_by_role("alert")).to_contain_text("macro F1 is worse")
    panel.get_by_role("button", name="Promote").click()
    dialog.get_by_role("button", name="Promote all the same").click()
    expect(panel).to_contain_text("Answers when no model is named")
    asked = [path for path, _ in service.sent]
    assert asked == ["versions/2/promote", "versions/2/promote", "versions/2/promote?force=true"]
    panel.get_by_role("button", name="Roll back").click()
    dialog.get_by_role("button", name="Roll back").click()
    expect(panel).to_contain_text("Answers only where it is named")
    assert service.sent[-1] == ("rollback", None)
