"""Several tables' rows in one statement, as if each had been added and flushed."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from sqlalchemy import Engine, Select, String, bindparam, event, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services import clock
from services.db.inserting import Provided, insert_together
from services.db.session import SessionFactory
from services.jobs.row import JobEventRow, JobRow
from services.records.repository import when_added
from services.records.row import RecordRow

OF_RECORD: dict[str, Any] = {
    "project_id": "default",
    "name": "r",
    "patient_id": None,
    "format": "wfdb",
    "sha256": "a" * 64,
    "sampling_rate_hz": 360.0,
    "n_samples": 3600,
    "leads": [{"name": "II", "unit": "mV"}],
    "has_annotations": False,
    "notes": [],
    "created_at": clock.now(),
}


def rows(job_id: str = "job_1", of: str = "job_1") -> tuple[JobRow, JobEventRow]:
    job = JobRow(id=job_id, kind="k", queue="q", resource_id="r", created_at=clock.now())
    return job, JobEventRow(job_id=of, kind="status", data={"n": 1}, created_at=clock.now())


def test_rows_that_refer_to_each_other_are_one_statement(
    session: Session, sessions: SessionFactory
) -> None:
    statements: list[str] = []
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    event.listen(engine, "before_cursor_execute", lambda *said: statements.append(said[2]))
    job, told = rows()
    insert_together(session, job, told)
    session.commit()
    assert len(statements) == 1
    with sessions() as other:
        assert other.get_one(JobRow, "job_1").status == "queued"  # a default of the column
        assert other.scalars(select(JobEventRow)).one().data == {"n": 1}


def test_what_was_added_is_the_sessions_own(session: Session) -> None:
    job, told = rows()
    insert_together(session, job, told)
    assert session.get(JobRow, "job_1") is job
    assert (job.status, job.attempts, job.worker, job.error) == ("queued", 0, None, None)
    job.kind = "changed"
    session.commit()
    session.expire_all()
    assert session.get_one(JobRow, "job_1").kind == "changed"


def test_a_reference_that_leads_nowhere_is_refused(session: Session) -> None:
    with pytest.raises(IntegrityError):
        insert_together(session, *rows(of="job_other"))


@pytest.mark.parametrize(("waits", "setting"), [(True, "on"), (False, "off")])
def test_the_commit_waits_for_the_disk_unless_it_need_not(
    session: Session, waits: bool, setting: str
) -> None:
    session.execute(text("set synchronous_commit = on"))  # the suite's database has it off
    session.commit()
    insert_together(session, *rows(), waits_for_disk=waits)
    assert session.scalar(text("show synchronous_commit")) == setting


@cache
def of_job() -> Select[Any]:
    return select(JobRow.id).where(JobRow.id == bindparam("other", type_=String))


def test_rows_are_added_only_where_what_they_need_is_there(session: Session) -> None:
    nothing = Provided(of_job(), {"other": "job_0"})
    assert not insert_together(session, *rows(), provided=nothing)
    session.commit()
    assert session.scalars(select(JobRow)).all() == []

    assert insert_together(session, *rows("job_0", of="job_0"))
    assert insert_together(session, *rows(), provided=nothing)
    session.commit()
    assert session.get_one(JobRow, "job_1").status == "queued"
    assert len(session.scalars(select(JobEventRow)).all()) == 2


def test_what_they_need_may_be_added_by_the_same_statement(session: Session) -> None:
    record = RecordRow(id="rec_1", **OF_RECORD)
    assert insert_together(session, *rows(), provided=when_added(record))
    session.commit()
    again = RecordRow(id="rec_2", **OF_RECORD)  # of the same bytes
    assert not insert_together(session, *rows("job_2", of="job_2"), provided=when_added(again))
    session.commit()
    assert session.scalars(select(RecordRow.id)).all() == ["rec_1"]
    assert session.scalars(select(JobRow.id)).all() == ["job_1"]
