from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.telemetry import configure_logging


@pytest.fixture(autouse=True)
def _configured_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_goes_to_standard_error_as_it_is_then(
    monkeypatch: pytest.MonkeyPatch, log_format: str
) -> None:
    log = structlog.get_logger()
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    configure_logging(level="INFO", log_format=log_format)
    log.info("one.event")
    assert "one.event" in first.getvalue()
    first.close()
    monkeypatch.setattr("sys.stderr", second)
    log.info("another.event", record_id="rec_1")
    assert "another.event" in second.getvalue()
    assert "rec_1" in second.getvalue()


def test_what_libraries_say_is_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setattr(logging.root, "handlers", [])
    configure_logging(level="INFO", log_format="json")
    try:
        raise ValueError("of a library")
    except ValueError:
        logging.getLogger("some.library").exception("it went wrong")
    line = json.loads(said.getvalue())
    assert (line["event"], line["level"], line["logger"]) == (
        "it went wrong",
        "error",
        "some.library",
    )
    assert "ValueError: of a library" in line["exception"]
