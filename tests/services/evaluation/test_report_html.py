"""The page of a report: whole, alone, and safe whatever records are called."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from services.evaluation.beat_report import BeatsTested, beat_report
from services.evaluation.report_html import report_html
from services.evaluation.report_parts import BASE, NEW, Compared
from services.evaluation.risk_report import RiskTested, risk_report
from tests.services.evaluation.test_beat_report import matrix

EVIL = '<script>alert("x")</script>'
MODELS = [Compared(NEW, "ward@2"), Compared(BASE, EVIL, trained_on=frozenset({"r0"}))]


def beats() -> dict[str, Any]:
    records = [
        BeatsTested(f"r{n}", EVIL, f"{EVIL}{n}", (matrix(n), matrix(n + 9))) for n in range(4)
    ]
    return beat_report(MODELS, records)


def risks() -> dict[str, Any]:
    records = [RiskTested(f"r{n}", EVIL, str(n), n % 2, (n / 30, 0.3)) for n in range(30)]
    return risk_report(MODELS, records, thresholds=[0.2, 0.5])


class Tags(HTMLParser):
    """Which tags there are, and whether each that needs it is closed in order."""

    VOID = ("meta", "line", "rect", "circle", "path", "polyline", "br")

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("report", [beats(), risks()], ids=["beats", "risks"])
def test_the_page_is_whole_and_needs_nothing_else(report: dict[str, Any]) -> None:
    page = report_html(report, title="Fine-tune & more")
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not re.search(r"(?:src|href)=|url\(|@import|https?://", page)
    assert "<title>Fine-tune &amp; more</title>" in page
    assert "prefers-color-scheme:dark" in page
    assert "&lt;script&gt;" in page
    for caution in report["cautions"]:
        assert caution.split("@")[0].split("<")[0] in page


def test_each_kind_of_report_shows_its_plots() -> None:
    of_beats, of_risks = report_html(beats()), report_html(risks())
    assert of_beats.count("Confusion matrix of") == 4  # a label and a title each
    assert "Sensitivity of each class by model" in of_beats
    assert "ROC curve of each model" in of_risks
    assert "Reliability of each model" in of_risks


def test_a_report_in_which_nothing_can_be_said_is_still_a_page() -> None:
    empty = beat_report(MODELS[:1], [BeatsTested("r", "r", "p", (matrix(0, beats=(0,) * 5),))])
    assert "none" in report_html(empty)
    alike = [RiskTested(str(n), str(n), str(n), 0, (0.1,)) for n in range(3)]
    assert "nothing can be said of the ranking" in report_html(risk_report(MODELS[:1], alike))
