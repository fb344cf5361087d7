"""The same tests over each store: a folder, and an S3-compatible service over HTTP."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from services.errors import NotFound, Unavailable
from services.settings import Settings
from services.storage import factory
from services.storage.base import Store
from services.storage.object_store import LocalFileStore, S3FileStore
from tests.factories import assert_problem, parts, upload
from tests.faults import TcpProxy
from tests.s3 import BUCKET
from tests.signals import made_files

KEY = "records/rec_1/signal.npy"


def s3_settings(settings: Settings, endpoint: str) -> Settings:
    return settings.model_copy(
        update={
            "storage_url": f"s3://{BUCKET}/{uuid.uuid4().hex}",
            "storage_endpoint": endpoint,
            "storage_access_key": "key",
            "storage_secret_key": type(settings.storage_secret_key)("secret"),
        }
    )


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")
    if request.param == "s3":
        settings = s3_settings(settings, request.getfixturevalue("s3_endpoint"))
    return factory.store_for(settings)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_what_is_put_is_there(store: Store, file: Path) -> None:
    store.put(KEY, file)
    assert store.local_path(KEY).read_bytes() == b"content"
    assert store.local_path(KEY).read_bytes() == b"content"


def test_a_large_file_is_put_whole(store: Store, tmp_path: Path) -> None:
    large = tmp_path / "large"
    content = os.urandom(20 * 1024 * 1024)
    large.write_bytes(content)
    store.put(KEY, large)
    assert store.local_path(KEY).read_bytes() == content


def test_what_was_never_put_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.local_path("records/rec_9/signal.npy")


def test_a_folder_goes_with_all_its_files_and_no_other(store: Store, file: Path) -> None:
    for key in (KEY, "records/rec_1/annotations.npz", "records/rec_10/signal.npy"):
        store.put(key, file)
        store.local_path(key)
    store.delete_all("records/rec_1/")
    for key in (KEY, "records/rec_1/annotations.npz"):
        with pytest.raises(NotFound):
            store.local_path(key)
    assert store.local_path("records/rec_10/signal.npy").is_file()
    store.delete_all("records/rec_1/")


def test_what_is_put_is_settled_on_disk_with_its_folder(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalFileStore(tmp_path / "store")
    store.put(KEY, file)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    store.settle("records/rec_1/")
    folder = tmp_path / "store" / "records" / "rec_1"
    assert synced == [each.stat().st_ino for each in (folder / "signal.npy", folder, folder.parent)]


def test_nothing_to_settle_is_no_error(store: Store) -> None:
    store.settle("records/rec_9/")


def test_a_disk_that_refuses_is_unavailable(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    store = LocalFileStore(tmp_path / "store")
    store.put(KEY, file)
    monkeypatch.setattr(os, "fsync", refuses)
    with pytest.raises(Unavailable):
        store.settle("records/rec_1/")


def test_folders_are_listed(store: Store, file: Path) -> None:
    assert store.folders("records/") == set()
    for key in (KEY, "records/rec_2/signal.npy", "other/x"):
        store.put(key, file)
    assert store.folders("records/") == {"rec_1", "rec_2"}


def test_a_store_that_answers_is_well(store: Store) -> None:
    store.check()


def test_the_settings_choose_the_store(tmp_path: Path, s3_endpoint: str) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    assert isinstance(factory.store_for(settings), LocalFileStore)
    assert isinstance(factory.store_for(s3_settings(settings, s3_endpoint)), S3FileStore)
    for wrong in ("gs://bucket", "s3://", "/folder"):
        with pytest.raises(ValueError, match="ECTOPY_STORAGE_URL"):
            factory.store_for(settings.model_copy(update={"storage_url": wrong}))


def test_a_lost_connection_is_unavailable_and_soon_said(
    tmp_path: Path, file: Path, s3_endpoint: str
) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")
    address = urlsplit(s3_endpoint)
    with TcpProxy(address.hostname or "", address.port or 0) as proxy:
        store = factory.store_for(s3_settings(settings, f"http://127.0.0.1:{proxy.port}"))
        store.put(KEY, file)
        proxy.cut()
        started = time.monotonic()
        for action in (
            lambda: store.put(KEY, file),
            lambda: store.local_path(KEY),
            lambda: store.delete_all("records/rec_1/"),
            lambda: store.folders("records/"),
            store.check,
        ):
            with pytest.raises(Unavailable):
                action()
        assert time.monotonic() - started < 60
        proxy.restore()
        assert store.local_path(KEY).read_bytes() == b"content"


def test_records_are_kept_in_s3_end_to_end(settings: Settings, s3_endpoint: str) -> None:
    address = urlsplit(s3_endpoint)
    with TcpProxy(address.hostname or "", address.port or 0) as proxy:
        chosen = s3_settings(settings, f"http://127.0.0.1:{proxy.port}")
        with TestClient(create_app(chosen), client=("127.0.0.1", 1)) as api:
            record = upload(api, made_files())
            path = f"/v1/records/{record['id']}"
            assert api.get(f"{path}/signal").status_code == 200
            proxy.cut()
            answer = api.post("/v1/records", files=parts(made_files(seed=2)))
            assert_problem(answer, 503, "file store")
            assert answer.headers["retry-after"]
            assert len(api.get("/v1/records").json()["data"]) == 1
            proxy.restore()
            assert api.post("/v1/records", files=parts(made_files(seed=2))).status_code == 201
            assert api.delete(path).status_code == 204
            assert_problem(api.get(f"{path}/signal"), 404)


# --- the rest of the factory


def test_a_workspace_goes_with_its_block(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    with factory.workspace(settings) as folder:
        Path(folder, "x").write_bytes(b"1")
        os.utime(folder, (0, 0))  # as one that a long run has made hours ago
        factory.forget_old_workspaces(settings, older_than_s=60)
        assert Path(folder).is_dir()
    assert not Path(folder).exists()


def test_workspaces_of_killed_processes_are_forgotten(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    factory.forget_old_workspaces(settings, older_than_s=60)
    left = tmp_path / "tmp" / "left"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    factory.forget_old_workspaces(settings, older_than_s=60)
    assert not left.exists()


def test_the_cache_loses_what_was_read_longest_ago(tmp_path: Path) -> None:
    for age, name in enumerate(("aa", "bb", "cc")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "part-old").write_bytes(b"half")
    os.utime(tmp_path / "part-old", (0, 0))
    (tmp_path / "part-new").write_bytes(b"half")
    factory.trimmed_cache(tmp_path, max_bytes=200)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aa", "bb", "part-new"]
