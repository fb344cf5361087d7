"""What operators watch: only metrics that there are, with labels and queues that there are."""

from __future__ import annotations

import json
import re

import pytest
from fastapi.testclient import TestClient

from services.jobs.dispatch import QUEUES
from tests.conftest import ROOT

RULES = ROOT / "deploy" / "alerts.yml"
BOARD = ROOT / "deploy" / "grafana-dashboard.json"
_NAME = re.compile(r"\bectopy_[a-z_]+")


def expressions() -> dict[str, str]:
    board = json.loads(BOARD.read_text())
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in board["panels"]
        for target in panel["targets"]
    }
    alerts = re.findall(r"alert: (\w+)\n\s+expr: (.+)", RULES.read_text())
    return found | dict(alerts)


@pytest.mark.parametrize(("where", "expression"), expressions().items(), ids=str)
def test_an_expression_names_only_what_is_measured(
    api: TestClient, where: str, expression: str
) -> None:
    shown = set(re.findall(r"^# TYPE (\w+)", api.get("/metrics").text, re.MULTILINE))
    for name in _NAME.findall(expression):
        assert name.removesuffix("_bucket") in shown, (where, name)
    for queue in re.findall(r'queue="([^"]+)"', expression):
        assert queue in QUEUES, where


def test_every_alert_is_read() -> None:
    assert RULES.read_text().count("- alert:") == len(
        re.findall(r"alert: \w+\n\s+expr:", RULES.read_text())
    )
    assert len(expressions()) > 15
