"""The whole service for a trial: `ectopy serve` on a folder of its own, its parts by name."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

from ectopy.serve.ports import is_free

START_PATIENCE_S = 300.0
STOP_PATIENCE_S = 60.0
# what the command line of a part holds
SIGNS = {
    "api": "-m api",
    "postgres": "bin/postgres",
    "valkey": "valkey-server",
    "trainer": "worker.training_app:app",
}
WORKERS, BATCHES = "worker.app:app", "batch@"
RUN = "worker.training_process"  # of one fine-tune, below the trainer
ANSWERS = "spawn_main"  # one of the processes that the API is
API_CHILD = "api child"


class Trial:
    """Started when it is made; `stop` ends it. settings: ECTOPY_... of its parts."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.data = folder / "data"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("ECTOPY_")},
            "ECTOPY_LOG_FORMAT": "json",
            "ECTOPY_KEY_REQUESTS_PER_MINUTE": "0",
            "ECTOPY_KEY_REQUESTS_AT_ONCE": "0",
            # its own: while the API is down, another service must not be found in its place
            "ECTOPY_API_PORT": str(free_port()),
            **settings,
        }
        self.key = self.made_key("trial")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ectopy.cli", "serve", "--data", str(self.data)],
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        self.url = self._url_once_ready()

    def made_key(self, project: str) -> str:
        command = [sys.executable, "-m", "ectopy.cli", "keys", "create", "trial"]
        command += ["--scopes", "read,predict,train,admin", "--project", project]
        done = subprocess.run(
            [*command, "--data", str(self.data)],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def client(self, timeout_s: float = 90.0) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers=self.headers, timeout=timeout_s, trust_env=False
        )

    def parts(self) -> dict[str, psutil.Process]:
        """The processes that run now, by the part's name.

        `run` is the process of the fine-tune that is under way, if one is.
        """
        found: dict[str, psutil.Process] = {}
        for process in psutil.Process(self._process.pid).children():
            line = _command(process)
            for name, sign in SIGNS.items():
                if sign in line:
                    found[name] = process
            if WORKERS in line:
                found["batch" if BATCHES in line else "worker"] = process
        for process in _children(found.get("trainer")):
            if RUN in _command(process):
                found["run"] = process
        return found

    def victims(self) -> dict[str, psutil.Process]:
        """What a trial may kill: the parts, and one of the processes that the API is."""
        answering = self.answering()
        return self.parts() | ({API_CHILD: random.choice(answering)} if answering else {})

    def answering(self) -> list[psutil.Process]:
        """The processes that the API is; none where it is one."""
        return [one for one in _children(self.parts().get("api")) if ANSWERS in _command(one)]

    def memory_mb(self) -> dict[str, float]:
        """Memory of each part with its children; what they share counts once.

        Pages of files do not count, nor the database's cache, which is of a fixed size and fills
        up: how much of a library's pages is a part's share changes with every other service on the
        machine that uses it.
        """
        found = {name: _resident(process) / 2**20 for name, process in self.parts().items()}
        if "run" in found:  # a part of its own
            found["trainer"] -= found["run"]
        return found

    def processor_s(self) -> dict[str, float]:
        """What each part has used of the processors since it started.

        With its children, those that have ended too; but a fine-tune that is under way is its own.
        """
        used = {name: _processor_s(process) for name, process in self.parts().items()}
        if "run" in used and "trainer" in used:
            used["trainer"] -= used["run"]
        return {name: round(seconds, 1) for name, seconds in used.items()}

    def wait_ready(self, within_s: float = 120.0) -> None:
        deadline = time.monotonic() + within_s
        while True:
            try:
                if httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).is_success:
                    return
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready within {within_s:g} s")
            time.sleep(0.2)

    def logs(self) -> str:
        return "\n".join(p.read_text(errors="replace") for p in self.data.glob("logs/*.log"))

    def database_url(self) -> str:
        """As psycopg takes it."""
        from ectopy.serve import ports
        from ectopy.serve.folder import DataFolder

        folder = DataFolder.open(self.data)
        password, port = folder.password("postgres"), ports.remembered(folder)["postgres"]
        return f"postgresql://ectopy:{password}@127.0.0.1:{port}/ectopy"

    def broker_url(self) -> str:
        from ectopy.serve import ports
        from ectopy.serve.folder import DataFolder

        folder = DataFolder.open(self.data)
        password, port = folder.password("valkey"), ports.remembered(folder)["valkey"]
        return f"redis://:{password}@127.0.0.1:{port}/0"

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _url_once_ready(self) -> str:
        url, deadline = "", time.monotonic() + START_PATIENCE_S
        for line in self._process.stdout or ():
            if found := re.search(r"is ready: (\S+)", line):
                url = found[1]
            if "Ctrl-C" in line or time.monotonic() > deadline:
                break
        if not url:
            raise RuntimeError(f"the service did not start:\n{self.logs()[-3000:]}")
        return url


def free_port() -> int:
    """Below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 30_000)
        if is_free(port):
            return port


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return ""


def _children(process: psutil.Process | None, *, recursive: bool = False) -> list[psutil.Process]:
    try:
        return process.children(recursive) if process is not None else []
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    total = 0
    for one in (process, *_children(process, recursive=True)):
        try:
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
        total += 1024 * kilobytes.get("Pss_Anon:", 0)
    return total


def _processor_s(process: psutil.Process) -> float:
    total = 0.0
    for one in (process, *_children(process, recursive=True)):
        try:
            total += sum(one.cpu_times()[:4])  # user and system: its own, its ended children's
        except psutil.Error:
            continue
    return total
