"""Which store the settings ask for."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.store import S3Store

from services.settings import Settings
from services.storage.base import Store
from services.storage.object_store import PART, LocalFileStore, S3FileStore

PART_AGE_S = 3600.0

if TYPE_CHECKING:
    from obstore.store import S3Config


def store_for(settings: Settings) -> Store:
    """A local folder by default; `s3://bucket/prefix` with the storage_* settings for S3."""
    if not settings.storage_url:
        return LocalFileStore(settings.store_dir)
    url = urlsplit(settings.storage_url)
    if url.scheme != "s3" or not url.netloc:
        raise ValueError("ECTOPY_STORAGE_URL must be empty or s3://bucket/prefix")
    return S3FileStore(_s3(settings, url.netloc, url.path.strip("/")), settings.data_dir / "cache")


def _s3(settings: Settings, bucket: str, prefix: str) -> S3Store:
    config: S3Config = {"region": settings.storage_region, "virtual_hosted_style_request": False}
    if settings.storage_access_key:
        config["access_key_id"] = settings.storage_access_key
        config["secret_access_key"] = settings.storage_secret_key.get_secret_value()
    if settings.storage_endpoint:
        config["endpoint"] = settings.storage_endpoint
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        client_options={
            "allow_http": settings.storage_endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=120),  # of one request: a part of a large file
        },
        # a client waits: a store that is away is said to be so soon, not after three minutes
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
    )


@contextmanager
def workspace(settings: Settings) -> Iterator[str]:
    """A private folder for one request's or one job's files, removed with its context.

    On the data volume, where there is room for large records, unlike some /tmp.
    """
    with tempfile.TemporaryDirectory(
        dir=workspaces(settings), ignore_cleanup_errors=True
    ) as folder:
        held = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks: its age alone protects it
                fcntl.flock(held, fcntl.LOCK_SH)
            yield folder
        finally:
            os.close(held)


def workspaces(settings: Settings) -> Path:
    """The folder of them all."""
    folder = settings.data_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def forget_old_workspaces(settings: Settings, *, older_than_s: float) -> None:
    """Removes folders that a killed process left behind: old ones that nobody holds."""
    folder = settings.data_dir / "tmp"
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # it has just gone
            if time.time() - path.stat().st_mtime > older_than_s and not _is_held(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    try:
        found = os.open(folder, os.O_RDONLY)
    except OSError:  # it has just gone, or is not ours to look at
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(found)
    return False


def trimmed_cache(folder: Path, *, max_bytes: int) -> None:
    """Removes the files of a cache folder that were read longest ago, down to `max_bytes`.

    What a killed process left half fetched goes as well.
    """
    for part in folder.glob(PART + "*"):
        if time.time() - part.stat().st_mtime > PART_AGE_S:
            part.unlink(missing_ok=True)
    files = sorted(
        (path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("[0-9a-f]*")
    )
    excess = sum(size for _, size, _ in files) - max_bytes
    for _, size, path in files:
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size
