"""What was backed up comes back, into another database and another folder."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.engine import URL

from api.main import create_app
from ectopy.commands import backup as module
from ectopy.commands.backup import backup, restore
from ectopy.commands.migrate import bring_up
from services.access import keys
from services.db.session import SessionFactory, engine_for, session_factory
from services.errors import MalformedInput, StateConflict
from services.settings import Settings
from tests.factories import ended, predict, upload
from tests.fakes import EagerDispatcher
from tests.labelled import beats_record
from tests.processes import new_database


@pytest.fixture
def elsewhere(servers: tuple[str, str], settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Another machine: an empty database and an empty folder."""
    url = new_database(servers[0], "elsewhere")
    bring_up(url)
    change = {"database_url": url.render_as_string(hide_password=False)}
    yield settings.model_copy(update=change | {"data_dir": tmp_path / "elsewhere"})
    new_database(servers[0], "elsewhere")


def shown(client: TestClient | httpx.Client) -> list[object]:
    """All that a client sees."""
    records = client.get("/v1/records").json()["data"]
    predictions = client.get("/v1/predictions").json()["data"]
    one = predictions[0]["id"]
    paths = ["/v1/datasets", "/v1/models", "/v1/audit", f"/v1/predictions/{one}"]
    paths += [f"/v1/records/{record['id']}/signal" for record in records]
    paths += [f"/v1/records/{record['id']}/annotations" for record in records]
    return [records, predictions, *(client.get(path).json() for path in paths)]


def test_everything_comes_back_and_goes_on(
    settings: Settings,
    sessions: SessionFactory,
    elsewhere: Settings,
    tmp_path: Path,
    fake_model: object,
) -> None:
    with sessions.begin() as session:
        _, key = keys.create(session, name="a", scopes=["read", "predict", "train", "admin"])
    headers = {"Authorization": f"Bearer {key}"}
    app = create_app(settings)
    app.state.ectopy.dispatcher = EagerDispatcher(sessions, app.state.ectopy.store)
    with TestClient(app, headers=headers) as client:
        record = upload(client, beats_record("a", 1))["id"]
        upload(client, beats_record("b", 2))
        client.post("/v1/datasets", json={"name": "d", "task": "beats", "record_ids": [record]})
        ended(client, predict(client, record)["id"])
        before = shown(client)
    archive = tmp_path / "ectopy.tar"
    kept = backup(settings.database, settings, archive)
    assert (kept.rows["records"], kept.files) == (2, 4)
    assert restore(elsewhere.database, elsewhere, archive) == kept
    with TestClient(create_app(elsewhere), headers=headers) as client:
        assert shown(client) == before
        client.delete("/v1/records/rec_none")  # the trail's own numbers go on
        assert client.get("/v1/audit").json()["data"][0]["status"] == 404
        assert upload(client, beats_record("c", 3))["id"] > record
    with pytest.raises(StateConflict, match="not empty"):
        restore(elsewhere.database, elsewhere, archive)


def test_a_record_stays_until_its_files_are_copied(
    settings: Settings, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who removes one meanwhile waits for the archive."""
    with TestClient(create_app(settings), client=("127.0.0.1", 1)) as client:
        record = upload(client, beats_record("a", 1))["id"]
    seen: list[str] = []
    add_files = module._add_files

    def slowly(*arguments: object) -> int:
        with sessions() as session:
            session.execute(text("set lock_timeout = '100ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                session.execute(text("delete from records"))
        seen.append("waited")
        return add_files(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_add_files", slowly)
    assert backup(settings.database, settings, tmp_path / "a.tar").files == 2
    assert seen == ["waited"]
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert f"store/records/{record}/signal.npy" in archive.getnames()


def test_another_archive_is_refused_and_nothing_changes(
    elsewhere: Settings, tmp_path: Path
) -> None:
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as archive:
        archive.addfile(tarfile.TarInfo("../../evil"), io.BytesIO())
    with pytest.raises(MalformedInput, match="ectopy backup"):
        restore(elsewhere.database, elsewhere, other)
    assert models_of(elsewhere.database) > 0


@pytest.mark.parametrize("name", ["store/../evil", "store//evil", "store/"])
def test_no_file_is_restored_outside_of_the_store(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with (
        tarfile.open(tmp_path / "a.tar") as archive,
        pytest.raises(MalformedInput, match="outside"),
    ):
        module._files_in(archive)


def test_links_are_not_restored(tmp_path: Path) -> None:
    link = tarfile.TarInfo("store/records/rec_1/signal.npy")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(link)
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert module._files_in(archive) == []


def test_what_cannot_be_restored_whole_is_not_begun(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    """A name that leads out, rows that lack, ends that lack: the next try finds nothing."""
    with TestClient(create_app(settings), client=("127.0.0.1", 1)) as client:
        upload(client, beats_record("a", 1))
    names = ("whole", "out", "less", "cut", "ended")
    whole, out, less, cut, ended_early = (tmp_path / f"{name}.tar" for name in names)
    kept = backup(settings.database, settings, whole)
    shutil.copy(whole, out)
    with tarfile.open(out, "a") as archive:
        archive.addfile(tarfile.TarInfo("store/../evil"), io.BytesIO())
    with tarfile.open(whole) as archive, tarfile.open(less, "w") as rest:
        for entry in archive:
            if entry.name != "rows/predictions":
                rest.addfile(entry, archive.extractfile(entry))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with tarfile.open(whole) as archive:  # cut off just before a record's last file
        ended_early.write_bytes(whole.read_bytes()[: archive.getmembers()[-1].offset])
    for damaged in (out, less, cut, ended_early):
        with pytest.raises(MalformedInput):
            restore(elsewhere.database, elsewhere, damaged)
        assert models_of(elsewhere.database) > 0
    assert restore(elsewhere.database, elsewhere, whole) == kept


def test_a_store_that_cannot_take_the_files_leaves_no_rows(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    with TestClient(create_app(settings), client=("127.0.0.1", 1)) as client:
        upload(client, beats_record("a", 1))
    archive = tmp_path / "a.tar"
    kept = backup(settings.database, settings, archive)
    in_the_way = elsewhere.store_dir / "records"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"")
    with pytest.raises(OSError, match="records"):
        restore(elsewhere.database, elsewhere, archive)
    in_the_way.unlink()
    assert restore(elsewhere.database, elsewhere, archive) == kept


def test_what_lay_beside_a_bucket_stays_when_its_rows_cannot_be_restored(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    whole, other = tmp_path / "whole.tar", tmp_path / "other.tar"
    backup(settings.database, settings, whole)
    with tarfile.open(whole) as archive, tarfile.open(other, "w") as rest:
        for entry in archive:
            content = archive.extractfile(entry)
            if entry.name == "rows/predictions":
                entry.size, content = 4, io.BytesIO(b"what")
            rest.addfile(entry, content)
    beside = elsewhere.store_dir / "records" / "rec_1" / "signal.npy"
    beside.parent.mkdir(parents=True)
    beside.write_bytes(b"from before the bucket")
    in_bucket = elsewhere.model_copy(update={"storage_url": "s3://bucket/prefix"})
    with pytest.raises(MalformedInput, match="rows of predictions are damaged"):
        restore(in_bucket.database, in_bucket, other)
    assert beside.exists()
    assert models_of(elsewhere.database) > 0, "the database is as it was"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"revision": "f00000000000"}, "newer version"),
        ({"tables": {"strange": ["id"]}}, "rows of strange"),
        ({"tables": {"records": ["id", "strange"]}}, "rows of records are damaged"),
        ({"tables": ["records"]}, "no archive that"),
    ],
)
def test_an_archive_of_other_tables_changes_nothing(
    settings: Settings,
    elsewhere: Settings,
    tmp_path: Path,
    change: dict[str, object],
    said: str,
) -> None:
    whole, other = tmp_path / "whole.tar", tmp_path / "other.tar"
    kept = backup(settings.database, settings, whole)
    with tarfile.open(whole) as archive, tarfile.open(other, "w") as rest:
        for entry in archive:
            content = archive.extractfile(entry)
            if entry.name == module.MANIFEST and content is not None:
                manifest = json.dumps(json.load(content) | change).encode()
                entry.size, content = len(manifest), io.BytesIO(manifest)
            rest.addfile(entry, content)
    with pytest.raises(MalformedInput, match=said):
        restore(elsewhere.database, elsewhere, other)
    assert models_of(elsewhere.database) > 0
    assert restore(elsewhere.database, elsewhere, whole) == kept


def models_of(url: URL) -> int:
    engine = engine_for(url)
    with session_factory(engine)() as session:
        found = session.scalar(text("select count(*) from models"))
    engine.dispose()
    return int(found or 0)
