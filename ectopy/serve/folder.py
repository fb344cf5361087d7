"""The data folder: what lies where in it, and that one `ectopy serve` at a time uses it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ectopy.serve.errors import CannotServe

MARKER = "ECTOPY_SERVE_FOLDER"
PASSWORD_BYTES = 24


@dataclass(frozen=True)
class DataFolder:
    """`root` is absolute and exists."""

    root: Path

    @classmethod
    def open(cls, path: Path) -> DataFolder:
        root = path.expanduser().resolve()
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold patients
        except OSError as error:
            raise CannotServe(f"cannot make the data folder {root}: {error.strerror}") from error
        if not os.access(root, os.W_OK | os.X_OK):
            raise CannotServe(f"cannot write to the data folder {root}: it is another user's")
        return cls(root)

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    @property
    def ports_file(self) -> Path:
        return self.root / "ports.json"

    def password_file(self, name: str) -> Path:
        return self.root / "secrets" / f"{name}_password"

    def password(self, name: str) -> str:
        """The password of a server, made at the first call; only its owner can read the file."""
        path = self.password_file(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            write_private(path, secrets.token_urlsafe(PASSWORD_BYTES))
        return path.read_text().strip()

    @property
    def marker(self) -> str:
        """What tells our processes from those of another folder, wherever each is mounted."""
        status = self.root.stat()
        return f"{status.st_dev}:{status.st_ino}"

    def environment(self) -> dict[str, str]:
        """Our environment for a child: marked as of this folder, without Postgres's variables."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**ours, MARKER: self.marker}

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for ourselves; the kernel lets go of it however we end."""
        with (self.root / "serve.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise CannotServe(
                    f"another `ectopy serve` (process {holder}) is using the data folder "
                    f"{self.root}. Stop that one, or choose another folder with --data."
                ) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
