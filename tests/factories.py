"""Requests and rows with sensible defaults."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services import clock, ids
from services.db.session import SessionFactory
from services.jobs import lifecycle
from services.jobs.dispatch import PREDICT_QUEUE, RUN_PREDICTION
from services.jobs.row import JobRow
from services.predictions.row import PredictionRow
from services.records.row import RecordRow
from services.settings import Settings

PROBLEM = "application/problem+json"


def parts(files: Mapping[str, bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Multipart `file` parts."""
    return [
        ("file", (name, content, "application/octet-stream")) for name, content in files.items()
    ]


def upload(client: Any, files: Mapping[str, bytes], **fields: Any) -> dict[str, Any]:
    """The record that these files become."""
    answer = client.post("/v1/records", files=parts(files), data=fields)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def predict(client: Any, record_id: str, **more: Any) -> dict[str, Any]:
    """A prediction of a stored record, as it is accepted."""
    answer = client.post("/v1/predictions", json={"record_id": record_id, "task": "beats"} | more)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended(client: Any, prediction_id: str, *, within_s: float = 30.0) -> dict[str, Any]:
    """The prediction once it has ended."""
    deadline = time.monotonic() + within_s
    while True:
        found: dict[str, Any] = client.get(f"/v1/predictions/{prediction_id}").json()
        if found.get("status") in ("succeeded", "failed", "cancelled"):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def assert_problem(answer: Any, status: int, says: str = "") -> dict[str, Any]:
    """The answer is a problem object of this status that says this, and nothing of the inside."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("https://")
    assert problem["title"]
    assert problem["detail"]
    assert says in problem["detail"], problem["detail"]
    assert_tells_nothing_of_the_inside(answer.text)
    return problem


def assert_tells_nothing_of_the_inside(text: str) -> None:
    inside = ("Traceback", "site-packages", ".py", str(Path(__file__).parents[1]), "/tmp/pytest")
    assert not [found for found in inside if found in text], text


def kept_files(settings: Settings) -> list[str]:
    """Everything in the store and in the folder of temporary files."""
    found = []
    for folder in (settings.store_dir, settings.data_dir / "tmp"):
        found += [str(path.relative_to(settings.data_dir)) for path in folder.rglob("*")]
    return sorted(path for path in found if path != "store/records")


def counts(sessions: SessionFactory) -> dict[str, int]:
    """Rows of the tables that a request may leave something in."""
    with sessions() as session:
        return {
            row.__tablename__: session.scalar(select(func.count()).select_from(row)) or 0
            for row in (RecordRow, PredictionRow, JobRow)
        }


def queued_job(session: Session, resource_id: str = "pred_x") -> JobRow:
    """A committed job."""
    job = lifecycle.create(
        session, kind=RUN_PREDICTION, queue=PREDICT_QUEUE, resource_id=resource_id
    )
    session.commit()
    return job


def record_row(session: Session, **more: Any) -> RecordRow:
    """A committed record without files."""
    values: dict[str, Any] = {
        "id": ids.new_id("rec"),
        "name": "made",
        "patient_id": None,
        "format": "wfdb",
        "sha256": ids.new_id("sha"),
        "sampling_rate_hz": 360.0,
        "n_samples": 3600,
        "leads": [{"name": "MLII", "unit": "mV"}],
        "has_annotations": False,
        "notes": [],
        "created_at": clock.now(),
    }
    row = RecordRow(**values | more)
    session.add(row)
    session.commit()
    return row
