"""The API as several processes: one dies, their parent dies, they count and limit together."""

from __future__ import annotations

import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from api import processes
from api.state import state_for
from services import steady
from services.access import keys
from services.db.session import SessionFactory
from services.settings import Settings
from tests.faults import eventually
from tests.large_pages import in_large_pages_bytes, needs_large_pages
from tests.processes import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
PATIENCE_S = 90.0
KINDS = ("counter", "histogram")
HEAP_BYTES = 64 * 1024 * 1024  # that the GNU C library sets aside for each heap but the first


class Api:
    """`python -m api` of two processes, or as many as the environment says."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        told = {"ECTOPY_API_PROCESSES": "2", "ECTOPY_API_PORT": str(self.port)} | environment
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api"], cwd=ROOT, env=told, stdout=output, stderr=output
            )

    @property
    def parent(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def children(self) -> list[psutil.Process]:
        """Those that answer, once they do."""
        return [
            each
            for each in self.parent.children()
            if b"spawn_main" in Path(f"/proc/{each.pid}/cmdline").read_bytes()
        ]

    def wait_started(self, count: int) -> None:
        """Until so many processes have said that they have started."""
        eventually(
            lambda: self.log.read_text().count("Application startup complete") >= count,
            within_s=PATIENCE_S,
            what=self.log.read_text(),
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Over a connection of its own, which any of the processes may take."""
        url = f"{self.url}{path}"
        return httpx.get(url, headers=headers, trust_env=False, timeout=PATIENCE_S)

    def is_free(self) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                return False
        return True

    def folder(self) -> Path:
        """What its processes share."""
        return Path(self.children()[0].environ()[processes.FOLDER])


@contextmanager
def started(environment: dict[str, str], log: Path, *, count: int = 2) -> Iterator[Api]:
    api = Api(environment, log)
    try:
        api.wait_started(count)
        yield api
    finally:
        api.process.send_signal(signal.SIGTERM)
        try:
            api.process.wait(60)
        except subprocess.TimeoutExpired:
            api.process.kill()
            api.process.wait()


@pytest.fixture
def api(settings: Settings, environment: dict[str, str], tmp_path: Path) -> Iterator[Api]:
    with started(environment, tmp_path / "api.log") as api:
        yield api


def answered_by_both(ask: Callable[[], httpx.Response], api: Api) -> list[int]:
    """Statuses, asked many at once until each process has had some work: who has none takes it."""
    before = {each.pid: sum(each.cpu_times()[:2]) for each in api.children()}
    statuses: list[int] = []
    deadline = time.monotonic() + PATIENCE_S
    with ThreadPoolExecutor(16) as clients:
        while any(sum(psutil.Process(n).cpu_times()[:2]) - s < 0.05 for n, s in before.items()):
            assert time.monotonic() < deadline, "one process never answers"
            statuses += [f.result().status_code for f in [clients.submit(ask) for _ in range(32)]]
    return statuses


def open_files(pid: int) -> list[str]:
    """Names of what a process has open, those that are removed already too."""
    names = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(str(file.readlink()))
    return names


def heaps(pid: int) -> int:
    """How many the C library has in a process: the first, and those it set addresses aside for."""
    found, last = 1, (0, 0, "")
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, mode, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        first, until, of_first = last
        if (
            first % HEAP_BYTES == 0
            and (until, end - first) == (start, HEAP_BYTES)
            and (of_first, mode) == ("rw-p", "---p")
        ):
            found += 1
        last = start, end, mode
    return found


@pytest.mark.parametrize(("usable", "count"), [(1, 1), (2, 2), (64, processes.MOST_UNASKED)])
def test_they_are_as_many_as_told_or_by_the_processors(
    monkeypatch: pytest.MonkeyPatch, usable: int, count: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(usable)))
    assert processes.chosen_count(Settings(_env_file=None)) == count
    assert processes.chosen_count(Settings(_env_file=None, api_processes=7)) == 7


def test_what_is_for_all_is_divided_among_them(settings: Settings) -> None:
    shared = settings.model_copy(update={"api_processes": 4, "uploads_at_once": 6})
    state = state_for(shared)
    assert state.uploads.at_once == 2
    assert state.engine.pool.size() == 12  # type: ignore[attr-defined]


def test_one_that_dies_is_started_again_while_the_others_answer(api: Api) -> None:
    first, second = api.children()
    assert set(answered_by_both(lambda: api.get("/healthz"), api)) == {200}
    first.kill()
    # what it had taken up breaks off, at most; the other one answers
    eventually(lambda: api.get("/healthz").is_success)
    api.wait_started(3)
    assert second in api.children()
    assert len(api.children()) == 2
    assert set(answered_by_both(lambda: api.get("/healthz"), api)) == {200}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the GNU C library is asked")
def test_threads_of_one_share_as_few_heaps_as_were_meant(api: Api) -> None:
    assert set(answered_by_both(lambda: api.get("/v1/records"), api)) == {200}
    assert {heaps(child.pid) for child in api.children()} == {steady.HEAPS}


@needs_large_pages
def test_what_each_has_loaded_lies_in_large_pages(api: Api) -> None:
    assert set(answered_by_both(lambda: api.get("/healthz"), api)) == {200}
    for child in api.children():
        assert in_large_pages_bytes(child.pid) > 16 * 2**20


def test_where_none_can_start_whoever_started_them_is_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    api = Api(environment | {"ECTOPY_API_HOST": "0.0.0.0"}, tmp_path / "api.log")
    assert api.process.wait(PATIENCE_S) == processes.STARTUP_FAILURE
    assert "ectopy keys create" in api.log.read_text()


def test_none_outlives_their_parent_and_the_next_one_can_start(
    api: Api, environment: dict[str, str], tmp_path: Path
) -> None:
    children = api.children()
    folder = api.folder()
    api.process.kill()
    api.process.wait()
    eventually(api.is_free, within_s=10, what="the port is not free")
    assert psutil.wait_procs(children, timeout=5)[1] == []
    os.utime(folder, (0, 0))
    with started(environment | {"ECTOPY_API_PORT": str(api.port)}, tmp_path / "next.log") as other:
        assert httpx.get(f"{api.url}/healthz", trust_env=False).is_success
        assert not folder.exists()
        assert other.folder().exists()


def test_they_end_together_when_told_to_and_leave_nothing(api: Api) -> None:
    children, folder = api.children(), api.folder()
    assert folder.exists()
    api.process.send_signal(signal.SIGTERM)
    api.process.wait(30)
    assert psutil.wait_procs(children, timeout=0)[1] == []
    assert not folder.exists()


def test_one_process_alone_tidies_up_too(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    alone = environment | {"ECTOPY_API_PROCESSES": "1"}
    with started(alone, tmp_path / "api.log", count=1) as api:
        assert api.children() == []
        folder = next(
            Path(found)
            for found in re.findall(r"\S+", Path(f"/proc/{api.process.pid}/maps").read_text())
            if found.endswith("/uses")
        ).parent
        assert "ectopy_api_processes 1.0" in api.get("/metrics").text
    assert not folder.exists()


@pytest.mark.parametrize("count", [1, 2])
def test_what_comes_in_is_spooled_on_the_data_volume(
    settings: Settings, environment: dict[str, str], tmp_path: Path, count: int
) -> None:
    told = {name: value for name, value in environment.items() if name != "TMPDIR"}
    told |= {"ECTOPY_API_PROCESSES": str(count)}
    spooled = 9_000_000  # more than stays in memory
    head = (
        "POST /v1/records HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {2 * spooled}\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.dat"\r\n\r\n'
    )
    with started(told, tmp_path / "api.log", count=count) as api:
        pids = [each.pid for each in (api.parent, *api.children())]
        with socket.create_connection(("127.0.0.1", api.port)) as client:
            client.sendall(head.encode() + bytes(spooled))
            place = f"{settings.data_dir.resolve()}/tmp/"
            eventually(
                lambda: any(name.startswith(place) for pid in pids for name in open_files(pid)),
                within_s=PATIENCE_S,
            )


def test_requests_are_counted_by_all_and_those_of_a_dead_one_stay_counted(api: Api) -> None:
    asked = len(answered_by_both(lambda: api.get("/healthz"), api))
    for starts, child in enumerate(api.children(), start=3):
        eventually(lambda: counted(api) == asked)  # each counts when its answer is on its way
        child.kill()
        api.wait_started(starts)
    assert counted(api) == asked
    found = {path.name for path in api.folder().iterdir()}
    assert found == {"seats", "started", "uses"} | {
        f"{kind}_{n}.db" for n in "01" for kind in KINDS
    }


def counted(api: Api) -> float:
    """Requests for `/healthz`, as any of the processes tells it."""
    said = api.get("/metrics").text
    assert "ectopy_api_processes 2.0" in said
    found = re.findall(r'^ectopy_http_requests_total\{.*route="/healthz".*\} (\S+)', said, re.M)
    timed = re.findall(r'^ectopy_http_request_seconds_count\{.*"/healthz".*\} (\S+)', said, re.M)
    assert timed == found
    return float(found[0])


def test_a_key_has_one_limit_however_many_answer_it(
    settings: Settings, sessions: SessionFactory, environment: dict[str, str], tmp_path: Path
) -> None:
    with sessions.begin() as session:
        headers = {"Authorization": f"Bearer {keys.create(session, name='a', scopes=['read'])[1]}"}
    strict = environment | {"ECTOPY_KEY_REQUESTS_PER_MINUTE": "60"}
    with started(strict, tmp_path / "api.log") as api:
        begun = time.monotonic()
        ask = partial(api.get, "/v1/records", **headers)
        answers = answered_by_both(ask, api) + [ask().status_code for _ in range(40)]
        passed = answers.count(200)
        assert set(answers) == {200, 429}
        assert 10 <= passed <= 10 + (time.monotonic() - begun) + 1
