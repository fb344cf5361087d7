"""Rules of records that a request alone does not show."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from services.access.caller import DEFAULT_PROJECT
from services.ecg.readers.base import SourceFile
from services.errors import NotFound, Unavailable, UnusableInput
from services.records import service as records
from services.records.service import Upload
from services.settings import Settings
from services.storage.factory import store_for
from tests.factories import record_row
from tests.signals import made_files


def upload_of(tmp_path: Path) -> Upload:
    sources = []
    for name, content in made_files().items():
        path = tmp_path / name
        path.write_bytes(content)
        sources.append(SourceFile(name, path))
    work = tmp_path / "work"
    work.mkdir()
    return Upload(project_id=DEFAULT_PROJECT, sources=sources, workspace=work)


def test_the_order_of_files_does_not_change_their_hash() -> None:
    digests = [(name, hashlib.sha256(name.encode()).hexdigest()) for name in ("b", "a", "c")]
    assert records.content_sha256(digests) == records.content_sha256(digests[::-1])
    assert records.content_sha256(digests[:1]) == digests[0][1]
    renamed = [("x", digests[0][1]), *digests[1:]]
    assert records.content_sha256(renamed) != records.content_sha256(digests)


def test_a_batch_finds_its_records_in_the_order_asked(session: Session) -> None:
    ids = [record_row(session).id for _ in range(3)]
    found = records.get_all(session, DEFAULT_PROJECT, [ids[2], ids[0], ids[2]])
    assert [row.id for row in found] == [ids[2], ids[0], ids[2]]
    with pytest.raises(NotFound, match="rec_unknown"):
        records.get_all(session, DEFAULT_PROJECT, [ids[0], "rec_unknown"])


def test_a_store_that_is_away_stores_no_row(
    session: Session, settings: Settings, tmp_path: Path
) -> None:
    class Away:
        def put(self, key: str, source: Path) -> None:
            raise Unavailable("away")

    with pytest.raises(Unavailable):
        records.add(
            session,
            Away(),  # type: ignore[arg-type]
            upload_of(tmp_path),
            record_id="rec_1",
            limits=records.limits_of(settings),
        )
    assert records.find(session, DEFAULT_PROJECT, "rec_1") is None


def test_limits_come_from_the_settings(
    session: Session, settings: Settings, tmp_path: Path
) -> None:
    strict = settings.model_copy(update={"min_record_s": 60.0})
    with pytest.raises(UnusableInput, match="10 s"):
        records.add(
            session,
            store_for(settings),
            upload_of(tmp_path),
            record_id="rec_1",
            limits=records.limits_of(strict),
        )
