"""The file store's interface: named blobs under keys of our own making."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Keeps files under keys such as `records/rec_…/signal.f32`; a key is written once."""

    def put(self, key: str, source: Path) -> None:
        """Stores a file whole or not at all. Its bytes may not change afterwards."""
        ...

    def settle(self, prefix: str) -> None:
        """Waits until every file under a prefix is on disk: promise nothing before.

        Unavailable where the disk refuses; nothing there is no error.
        """
        ...

    def local_path(self, key: str) -> Path:
        """A local file with the content, fetched once where the store is remote.

        Raises NotFound when there is no such key.
        """
        ...

    def delete_all(self, prefix: str) -> None:
        """Removes every key under a prefix (`records/rec_…/`); nothing there is no error."""
        ...

    def folders(self, prefix: str) -> set[str]:
        """The next path parts under a prefix (`records/` -> the record ids)."""
        ...

    def check(self) -> None:
        """Raises Unavailable when the store does not answer."""
        ...
