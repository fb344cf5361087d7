"""The store over obstore: a local folder or an S3-compatible service behind the same calls.

obstore (Apache arrow-rs object_store) writes a local file beside its place and renames it, and
uploads large files in parts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from services.disk import sync
from services.errors import NotFound, Unavailable

PART = "part-"  # how the names of half fetched files begin


class LocalFileStore:
    """Files in a folder of this machine (or a volume)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._store = LocalStore(str(self._folder))

    def put(self, key: str, source: Path) -> None:
        if not self._linked(key, source):
            _put(self._store, key, source)

    def _linked(self, key: str, source: Path) -> bool:
        """A second name for the same bytes, where that can be: as whole as a copy, in no time."""
        path = self._folder / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(source.resolve(), path)
        except OSError:  # another volume, a file system without links, a key that is there already
            return False
        return True

    def settle(self, prefix: str) -> None:
        folder = self._folder / prefix
        try:
            for path in (*(file for file in folder.rglob("*") if file.is_file()), folder):
                sync(path)
            sync(folder.parent)  # in which the folder itself is a name
        except FileNotFoundError:
            return
        except OSError as error:
            raise _away(error) from error

    def local_path(self, key: str) -> Path:
        path = self._folder / key
        if not path.is_file():
            raise NotFound(f"the stored file {key} is gone")
        return path

    def delete_all(self, prefix: str) -> None:
        try:
            shutil.rmtree(self._folder / prefix)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _away(error) from error

    def folders(self, prefix: str) -> set[str]:
        return _folders(self._store, prefix)

    def check(self) -> None:
        if not os.access(self._folder, os.W_OK):
            raise Unavailable("the folder of the file store cannot be written")


class S3FileStore:
    """Files in an S3-compatible service, with a local cache of what was read."""

    def __init__(self, store: S3Store, cache: Path) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        self._store, self._cache = store, cache

    def put(self, key: str, source: Path) -> None:
        _put(self._store, key, source)

    def settle(self, prefix: str) -> None:
        """Such a service answers once it has kept what was put."""

    def local_path(self, key: str) -> Path:
        path = self._cache / hashlib.sha256(key.encode()).hexdigest()
        if path.is_file():
            path.touch()
            return path
        return self._fetch(key, path)

    def _fetch(self, key: str, path: Path) -> Path:
        handle, name = tempfile.mkstemp(dir=self._cache, prefix=PART)
        try:
            with os.fdopen(handle, "wb") as target:
                for chunk in obstore.get(self._store, key).stream():
                    target.write(chunk)
            Path(name).replace(path)
        except FileNotFoundError as error:
            raise NotFound(f"the stored file {key} is gone") from error
        except BaseError as error:
            raise _away(error) from error
        finally:
            Path(name).unlink(missing_ok=True)
        return path

    def delete_all(self, prefix: str) -> None:
        try:
            keys = [
                entry["path"] for page in obstore.list(self._store, prefix=prefix) for entry in page
            ]
            if keys:
                obstore.delete(self._store, keys)
        except BaseError as error:
            raise _away(error) from error
        for key in keys:
            (self._cache / hashlib.sha256(key.encode()).hexdigest()).unlink(missing_ok=True)

    def folders(self, prefix: str) -> set[str]:
        return _folders(self._store, prefix)

    def check(self) -> None:
        try:
            obstore.list_with_delimiter(self._store, prefix="records")
        except BaseError as error:
            raise _away(error) from error


def _put(store: Any, key: str, source: Path) -> None:
    try:
        obstore.put(store, key, source)
    except (BaseError, OSError) as error:
        raise _away(error) from error


def _folders(store: Any, prefix: str) -> set[str]:
    try:
        listing = obstore.list_with_delimiter(store, prefix=prefix.rstrip("/"))
    except BaseError as error:
        raise _away(error) from error
    return {path.rstrip("/").rsplit("/", 1)[-1] for path in listing["common_prefixes"]}


def _away(error: Exception) -> Unavailable:
    return Unavailable(
        f"the file store does not answer or is full ({type(error).__name__}); try again later"
    )
