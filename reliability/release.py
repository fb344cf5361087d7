"""The parts of a service as the code of one revision starts them, beside those of another.

Database, broker and data folder are shared; what runs on them is the tree's own: its commands come
from its `ectopy.serve.programs`, asked in a process that imports that tree alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ectopy.serve import launch, processes
from ectopy.serve.folder import DataFolder
from ectopy.serve.ports import is_free
from ectopy.serve.postgres import Postgres
from ectopy.serve.servers import start_postgres, start_valkey
from ectopy.serve.valkey import Valkey

HERE = Path(__file__).resolve().parents[1]
READY_PATIENCE_S = 180.0
STOP_PATIENCE_S = 60.0
STOPPED = (0, -signal.SIGTERM)  # the second where a program passes the signal on in the end
PREDICTIONS_AT_ONCE = 1
SETTINGS = {
    "ECTOPY_RESEND_AFTER_S": "3",
    "ECTOPY_CHECKPOINT_EVERY_S": "0.5",
    "ECTOPY_KEY_REQUESTS_PER_MINUTE": "0",
    "ECTOPY_KEY_REQUESTS_AT_ONCE": "0",
    "ECTOPY_LOG_FORMAT": "json",
}
# run by the tree's code: `python -c PROGRAMS DATA POSTGRES_PORT VALKEY_PORT API_PORT THREADS`
PROGRAMS = """
import json, sys
from pathlib import Path
import services
from ectopy.serve import programs
from ectopy.serve.folder import DataFolder
from ectopy.serve.postgres import Postgres
from ectopy.serve.valkey import Valkey
from services.settings import Settings

data, *numbers = sys.argv[1:]
postgres, valkey, api, threads = map(int, numbers)
folder = DataFolder.open(Path(data))
environment = programs.environment_of_programs(
    folder,
    Settings(data_dir=folder.root),
    postgres=Postgres(folder, postgres),
    valkey=Valkey(folder, valkey),
    api_port=api,
)
servers = [
    programs.Trainer(folder, environment),
    programs.Worker(folder, threads, environment),
    programs.Api(folder, "127.0.0.1", api, environment),
]
if hasattr(programs, "batch_worker"):
    servers.append(programs.batch_worker(folder, environment, False))
told = [each.program() for each in servers]
print(json.dumps({
    "tree": str(Path(services.__file__).resolve().parents[1]),
    "environment": environment,
    "commands": {each.name: list(each.command) for each in told},
}))
"""


@dataclass(frozen=True)
class Servers:
    """Postgres and Valkey of a data folder; no part of what is replaced."""

    folder: DataFolder
    postgres: Postgres
    valkey: Valkey

    @property
    def data(self) -> Path:
        return self.folder.root

    def database_url(self) -> str:
        """As psycopg takes it."""
        return self.postgres.url.replace("+psycopg", "")


@contextmanager
def servers_on(data: Path) -> Iterator[Servers]:
    """Call it from the main thread: they end when it does."""
    folder = DataFolder.open(data)
    with ExitStack() as ends:
        postgres, child = start_postgres(folder, say=print, pause=time.sleep)
        ends.callback(processes.stop, child)
        valkey, child = start_valkey(folder, say=print, pause=time.sleep)
        ends.callback(processes.stop, child)
        yield Servers(folder, postgres, valkey)


@dataclass
class Release:
    """One revision's code on the servers: `name` in its logs, its API on `port`."""

    name: str
    tree: Path
    servers: Servers
    port: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_free(self.port):
            raise RuntimeError(f"port {self.port} is taken")
        told = self._programs()
        if Path(told["tree"]) != self.tree.resolve():
            raise RuntimeError(f"the code of {self.tree} was asked for, and {told['tree']} answers")
        self._environment: dict[str, str] = told["environment"]
        self._commands: dict[str, list[str]] = told["commands"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def parts(self) -> list[str]:
        return list(self._commands)

    def _programs(self) -> Any:
        numbers = self.servers.postgres.port, self.servers.valkey.port, self.port
        arguments = [str(self.servers.data), *map(str, numbers), str(PREDICTIONS_AT_ONCE)]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ECTOPY_")}
        # before the installed package; its working directory does the same for `python -m`
        own = inherited | SETTINGS | {"PYTHONPATH": str(self.tree)}
        return json.loads(self._said([sys.executable, "-c", PROGRAMS, *arguments], own))

    def _said(self, command: list[str], environment: dict[str, str]) -> str:
        done = subprocess.run(
            command, cwd=self.tree, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command[1:4]} of the {self.name} code:\n{done.stderr[-3000:]}")
        return done.stdout

    def command_line(self, *arguments: str) -> str:
        """What `ectopy ARGUMENTS` of this code prints."""
        return self._said([sys.executable, "-m", "ectopy.cli", *arguments], self._environment)

    def start(self) -> None:
        """All parts; from the main thread, with which they end."""
        first = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), "9", "0", ""]
        for part, command in self._commands.items():
            with processes.open_log(self.log(part)) as log:
                self.running[part] = subprocess.Popen(
                    [*first, *command],
                    cwd=self.tree,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_PATIENCE_S
        while not self._is_ready():
            ended = [part for part, one in self.running.items() if one.poll() is not None]
            if ended or time.monotonic() > deadline:
                said = "\n".join(processes.log_tail(self.log(p)) for p in ended or self.parts)
                raise RuntimeError(f"the {self.name} code does not start: {ended}\n{said}")
            time.sleep(0.3)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).is_success
        except httpx.HTTPError:
            return False

    def stop(self, part: str) -> list[str]:
        """SIGTERM, and the time that a deploy gives; what was wrong with its end."""
        process = self.running.pop(part)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            _killed(process)
            return [f"{self.name} {part} runs {STOP_PATIENCE_S:g} s after SIGTERM"]
        return [] if code in STOPPED else [f"{self.name} {part} ended with {code} at SIGTERM"]

    def kill(self) -> None:
        for process in self.running.values():
            _killed(process)

    def log(self, part: str) -> Path:
        return self.servers.folder.log(f"{self.name}-{part}")

    def logged(self, event: str) -> list[str]:
        """Lines of all its parts that tell of an event."""
        lines = [one for p in self.parts for one in self.log(p).read_text().splitlines()]
        return [line for line in lines if f'"event": "{event}"' in line]


def _killed(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
