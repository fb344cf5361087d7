"""Upload to labels through the whole service, what the API adds, and memory with a 24-hour record.

    python -m benchmarks.service [--runs 15] [--hours 24]

Starts the service for itself in a temporary folder, as `ectopy serve` does. What the API adds is
the wall time of a request, from sending the first byte to having the last, without the pipeline's
own time as API and worker log it: reading and decoding the upload, and the predictor's work. The
client is a socket that stands: its request is made before the time begins, and its answer is looked
at when the time is over.

Between uploads something is timed that is not ours, the same record's R peaks by NeuroKit2: so
figures of a machine whose speed drifts can be compared. (A record of MIT-BIH takes a quarter
longer, and took 1.2 s on the two quiet cores that the aims are from.) It drives what the service
needs out of the processors' caches, and the upload after it, which waited for that second, has a
line of its own. And what a little of plain Python takes at once again and after a rest as long as
a prediction: some virtual machines lose what they know of memory that rests, and then the first
work of each process that a request goes through takes many times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil

from benchmarks.ecgbert_plain import plain_peaks
from benchmarks.records import GAIN, two_leads, wfdb_files

ROOT = Path(__file__).resolve().parents[1]
START_PATIENCE_S = 120.0
HEAD_END = b"\r\n\r\n"
WARM_UP = 2  # requests that do not count
REST_S = 0.3
MOST_ANSWER_BYTES = 64 * 1024 * 1024


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        try:
            _report_speed(service, arguments.runs)
            if arguments.hours:
                _report_long_record(service, arguments.hours)
        finally:
            service.stop()


class Service:
    """`ectopy serve` on a data folder of its own and a free port.

    code: the clone whose code is run, with this environment's packages; our own by itself.
    """

    def __init__(self, folder: Path, *, code: Path = ROOT) -> None:
        told = {"ECTOPY_LOG_FORMAT": "json", "ECTOPY_LOG_LEVEL": "INFO", "PYTHONPATH": str(code)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ectopy.cli", "serve", "--data", str(folder / "data")],
            stdout=subprocess.PIPE,
            text=True,
            cwd=code,
            env=os.environ | told,
        )
        self._logs = folder / "data" / "logs"
        self.pids: dict[str, int] = {}
        self.url = ""
        deadline = time.monotonic() + START_PATIENCE_S
        for line in self._process.stdout or ():
            if found := re.search(r"is ready: (\S+)", line):
                self.url = found[1]
            if found := re.match(r"\s+(api|worker|postgres|valkey)\s+(\d+)", line):
                self.pids[found[1]] = int(found[2])
            if "Ctrl-C" in line or time.monotonic() > deadline:
                break
        self.client = httpx2.Client(base_url=self.url, timeout=600.0, trust_env=False)
        address = (self.client.base_url.host, self.client.base_url.port or 80)
        self._socket = socket.create_connection(address)
        self._socket.settimeout(600.0)
        self._answer = bytearray(MOST_ANSWER_BYTES)

    def timed(self, request: httpx2.Request) -> tuple[float, dict[str, Any]]:
        """Seconds from sending the first byte of a request to having the last of its answer."""
        lines = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        sent = "\r\n".join([*lines, "", ""]).encode() + request.read()
        into, n, n_whole = memoryview(self._answer), 0, 0
        started = time.perf_counter()
        self._socket.sendall(sent)
        while not n_whole or n < n_whole:
            came = self._socket.recv_into(into[n:])
            if not came:
                raise ConnectionError(f"{lines[0]}: no whole answer")
            n += came
            n_whole = n_whole or _whole_answer(self._answer, n)
        wall = time.perf_counter() - started
        head, _, body = bytes(into[:n]).partition(HEAD_END)
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{lines[0]}: {head[:50]!r} {body[:500]!r}")
        return wall, json.loads(body)

    def predict(self, files: dict[str, bytes], *, wait_s: int = 60) -> tuple[float, dict[str, Any]]:
        """Seconds from sending the first byte to having the last one of the labels; the answer."""
        parts = [("file", (name, content)) for name, content in files.items()]
        headers = {"Prefer": f"wait={wait_s}"}
        request = self.client.build_request(
            "POST", "/v1/predict/beats", files=parts, headers=headers
        )
        started = time.perf_counter()
        wall, body = self.timed(request)
        while body["finished_at"] is None:
            time.sleep(0.2)
            answer = self.client.get(f"/v1/predictions/{body['id']}")
            wall = time.perf_counter() - started
            body = answer.raise_for_status().json()
        return wall, body

    def pipeline_s(self, event: str, **about: str) -> float:
        """How long the pipeline itself took for one thing, as it was logged."""
        for log in ("api", "worker"):
            for line in (self._logs / f"{log}.log").read_text().splitlines():
                found = json.loads(line) if line.startswith("{") else {}
                if found.get("event") == event and about.items() <= found.items():
                    return float(found["elapsed_s"])
        raise LookupError(f"no {event} of {about} in {self._logs}")

    def peak_mb(self, part: str) -> float:
        """Most memory that a part's processes ever held (VmHWM), one and all together."""
        first = psutil.Process(self.pids[part])
        return sum(_peak_mb(each.pid) for each in (first, *first.children(recursive=True)))

    def stop(self) -> None:
        self.client.close()
        self._socket.close()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)


def _whole_answer(answer: bytearray, n: int) -> int:
    """Bytes of an answer of which so many are here, head and body; 0: not known yet."""
    end = answer.find(HEAD_END, 0, n)
    if end < 0:
        return 0
    length = re.search(rb"content-length: *(\d+)", answer[:end], re.IGNORECASE)
    if length is None:
        raise ValueError("an answer does not say how long it is")
    return end + len(HEAD_END) + int(length[1])


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def _report_speed(service: Service, runs: int) -> None:
    uploads, stored, beside, roused = [], [], [], []
    for variant in range(runs + WARM_UP):
        files = wfdb_files(30, variant=2 * variant)
        upload, record_id = upload_timed(service, files)
        again_s = added_to_stored_record(service, record_id)
        known_s = _of_known_length(variant)
        after_other_work, _ = upload_timed(service, wfdb_files(30, variant=2 * variant + 1))
        if variant < WARM_UP:
            continue
        uploads.append(upload)
        stored.append(again_s)
        beside.append(known_s)
        roused.append(after_other_work)
    print(
        f"30 min, two leads, {sum(map(len, files.values())) / 1e6:.1f} MB, {runs} uploads in turn"
    )
    for name, found in (
        ("upload to labels", [upload.wall_s for upload in uploads]),
        ("reading and decoding", [upload.reading_s for upload in uploads]),
        ("the predictor", [upload.predictor_s for upload in uploads]),
        ("the API adds", [upload.added_s for upload in uploads]),
        ("the API adds to a stored record", stored),
        ("the API adds after other work", [upload.added_s for upload in roused]),
        ("beside: NeuroKit2's R peaks", beside),
        ("beside: plain Python, at once again", [_of_plain_python(0.0) for _ in range(runs)]),
        ("beside: plain Python, after a rest", [_of_plain_python(REST_S) for _ in range(runs)]),
    ):
        low, middle, high = 1000 * np.quantile(found, (0, 0.5, 1))
        print(f"  {name:<36}{middle:8.1f} ms   ({low:.1f} to {high:.1f})")


@dataclass(frozen=True)
class Upload:
    """What one upload took: by the client's clock, and of that what the pipeline logged."""

    wall_s: float
    reading_s: float
    predictor_s: float

    @property
    def added_s(self) -> float:
        """What is neither reading nor predicting."""
        return self.wall_s - self.reading_s - self.predictor_s


def upload_timed(service: Service, files: dict[str, bytes]) -> tuple[Upload, str]:
    """What it took, and the record's id."""
    wall, body = service.predict(files)
    reading = service.pipeline_s("record.read", record_id=body["record_id"])
    predictor = service.pipeline_s("record.predicted", prediction_id=body["id"])
    return Upload(wall, reading, predictor), body["record_id"]


def _of_known_length(variant: int) -> float:
    signal = two_leads(30, variant=variant) / GAIN
    started = time.perf_counter()
    plain_peaks(signal)
    return time.perf_counter() - started


def _of_plain_python(rest_s: float) -> float:
    time.sleep(rest_s)
    started = time.perf_counter()
    text = json.dumps({str(number): [number] * 10 for number in range(20)}, indent=1)
    json.loads(re.sub("[0-9]+", "1", text))
    return time.perf_counter() - started


def added_to_stored_record(service: Service, record_id: str) -> float:
    """Seconds beside the predictor's."""
    asked = {"record_id": record_id, "task": "beats"}
    headers = {"Prefer": "wait=60"}
    wall, body = service.timed(
        service.client.build_request("POST", "/v1/predictions", json=asked, headers=headers)
    )
    return wall - service.pipeline_s("record.predicted", prediction_id=body["id"])


def _report_long_record(service: Service, hours: float) -> None:
    files = wfdb_files(60 * hours, variant=7)
    before = {part: service.peak_mb(part) for part in ("api", "worker")}
    wall, body = service.predict(files)
    beats = sum(body["result"]["counts"].values())
    print(
        f"{hours:g} hours, two leads, {sum(map(len, files.values())) / 1e6:.0f} MB: {beats} beats"
    )
    in_worker = _seconds(body["started_at"], body["finished_at"])
    print(f"  upload to labels      {wall:8.1f} s, {in_worker:.1f} s of it in the worker")
    for part in ("api", "worker"):
        after = service.peak_mb(part)
        print(f"  peak memory of {part:<7}{after:8.0f} MB   ({before[part]:.0f} before)")


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--hours", type=float, default=24.0, help="0 leaves the long record out")
    return parser.parse_args()


if __name__ == "__main__":
    main()
