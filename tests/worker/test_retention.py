"""Records and results past their days go, rows and files together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import select, update

from api.main import create_app
from services import clock, retention
from services.access.row import AuditRow
from services.db.session import SessionFactory
from services.jobs.row import JobRow
from services.records.row import RecordRow
from services.settings import Settings
from services.storage.factory import store_for
from tests.factories import counts, ended, predict, upload
from tests.fakes import EagerDispatcher
from tests.labelled import beats_record
from tests.signals import made_files


def aged(sessions: SessionFactory, record_id: str, *, days: float) -> None:
    with sessions.begin() as session:
        moment = clock.now() - timedelta(days=days)
        record = update(RecordRow).where(RecordRow.id == record_id)
        session.execute(record.values(created_at=moment))
        session.execute(update(JobRow).values(finished_at=moment))


def files_of(settings: Settings) -> set[str]:
    return {path.name for path in Path(settings.store_dir / "records").iterdir()}


def test_old_records_go_with_files_and_results(
    settings: Settings, sessions: SessionFactory, fake_model: object
) -> None:
    app = create_app(settings)
    app.state.ectopy.dispatcher = EagerDispatcher(sessions, app.state.ectopy.store)
    with TestClient(app, client=("127.0.0.1", 1)) as client:
        old = upload(client, made_files())["id"]
        new = upload(client, beats_record("b", 2))["id"]
        held = upload(client, beats_record("c", 3))["id"]
        body = {"name": "d", "task": "beats", "record_ids": [held]}
        assert client.post("/v1/datasets", json=body).status_code == 201
        ended(client, predict(client, old)["id"])
    for record in (old, held):
        aged(sessions, record, days=8)
    store = store_for(settings)
    retention.apply(sessions, store, settings)
    assert files_of(settings) == {old, new, held}
    retention.apply(sessions, store, settings.model_copy(update={"keep_records_days": 7}))
    assert files_of(settings) == {new, held}
    assert counts(sessions) == {"records": 2, "predictions": 0, "jobs": 0}
    with sessions() as session:
        told = session.scalars(select(AuditRow).where(AuditRow.action == "retention.remove")).one()
        assert (told.resource, told.client) == (old, "upkeep")


def test_old_results_go_and_their_records_stay(
    settings: Settings, sessions: SessionFactory, fake_model: object
) -> None:
    app = create_app(settings)
    app.state.ectopy.dispatcher = EagerDispatcher(sessions, app.state.ectopy.store)
    with TestClient(app, client=("127.0.0.1", 1)) as client:
        record = upload(client, made_files())["id"]
        ended(client, predict(client, record)["id"])
        kept = settings.model_copy(update={"keep_results_days": 1})
        retention.apply(sessions, store_for(settings), kept)
        assert counts(sessions)["predictions"] == 1
        aged(sessions, record, days=0.5)
        retention.apply(sessions, store_for(settings), kept)
        assert counts(sessions)["predictions"] == 1
        aged(sessions, record, days=2)
        retention.apply(sessions, store_for(settings), kept)
    assert counts(sessions) == {"records": 1, "predictions": 0, "jobs": 0}
