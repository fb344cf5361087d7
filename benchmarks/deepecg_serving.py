"""DeepECG behind the service, beside the bare network in a loop, and beside LitServe.

python -m benchmarks.deepecg_serving [--clients 64] [--requests 128] [--rounds 2]

Full-size weights that were drawn, in a published file's layout, imported over HTTP. Each round runs
the bare network over as many windows, then the service with all clients at once (each a stored
10 s record, answers written to the database), then the same network behind LitServe (which stores
nothing). Beside the rate of each stands the processor time that its processes take for a record,
the clients' left out: on a machine that does other work too, that is what says something. LitServe
is no dependency: `pip install litserve` to have it measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2
import numpy as np
import psutil
import torch

from benchmarks.service import Service
from services.ecg.leads import STANDARD_12
from services.models.deepecg.checkpoint import PUBLISHED
from services.models.deepecg.inference import WindowLogits
from services.models.deepecg.network import RiskNetwork
from services.models.deepecg.spec import SAMPLING_RATE_HZ, WINDOW_SAMPLES
from services.models.public_checkpoints import write_public_checkpoint

BATCHES = (1, 4, 16)
TRIAL = 16  # windows, to find the best way of the bare network
NAME = "bench-afib"


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(0)
    network = RiskNetwork(PUBLISHED).eval()
    windows = made_windows(arguments.requests)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "wcr_afib_5y.pt"
        write_public_checkpoint({"model": network.state_dict()}, checkpoint)
        sides: dict[str, Side] = {"bare": Side(bare_loop(network, windows), (os.getpid(),))}
        service = Service(Path(folder))
        lit = LitServer(checkpoint) if importlib.util.find_spec("litserve") else None
        try:
            records = prepared(service, checkpoint, windows)
            asked = partial(through_service, service, records, arguments.clients)
            sides["service"] = Side(asked, tuple(service.pids.values()))
            if lit is None:
                print("LitServe is left out: pip install litserve")
            else:
                sides["LitServe"] = Side(
                    partial(lit.through, windows, arguments.clients), (lit.pid,)
                )
            report(sides, arguments)
        finally:
            service.stop()
            if lit is not None:
                lit.stop()


@dataclass(frozen=True)
class Side:
    """What is run (it returns its seconds), and the processes that do it, with their children."""

    run: Callable[[], float]
    pids: tuple[int, ...]

    def measured(self) -> tuple[float, float]:
        """Seconds of the clock and of processors."""
        before = self._processor_s()
        taken = self.run()
        return taken, self._processor_s() - before

    def _processor_s(self) -> float:
        found: set[psutil.Process] = set()
        for pid in self.pids:
            process = psutil.Process(pid)
            own = {process} if pid == os.getpid() else {process, *process.children(recursive=True)}
            found |= own
        times = [process.cpu_times() for process in found if process.is_running()]
        return sum(time.user + time.system for time in times)


def made_windows(count: int) -> np.ndarray:
    """(count, 12, 2500) float32 mV: narrow bumps with noise, each another."""
    rng = np.random.default_rng(0)
    time_s = np.arange(WINDOW_SAMPLES) / SAMPLING_RATE_HZ
    bumps = np.exp(-((time_s % 0.8 - 0.4) ** 2) / (2 * 0.02**2))
    gains = rng.uniform(0.5, 1.5, (count, len(STANDARD_12), 1))
    noise = rng.normal(0, 0.02, (count, len(STANDARD_12), WINDOW_SAMPLES))
    return (gains * bumps + noise).astype(np.float32)


def bare_loop(network: RiskNetwork, windows: np.ndarray) -> Callable[[], float]:
    """Seconds over all windows, in the best way: batches with all processors, or one for each."""
    logits = WindowLogits(network, device="cuda" if torch.cuda.is_available() else "cpu")

    def batches(size: int, over: np.ndarray) -> float:
        network_here, started = logits._network, time.perf_counter()
        with torch.inference_mode():
            for first in range(0, len(over), size):
                batch = torch.from_numpy(over[first : first + size])
                network_here(batch).cpu()
        return time.perf_counter() - started

    def lanes(over: np.ndarray) -> float:
        started = time.perf_counter()
        logits(over)
        return time.perf_counter() - started

    ways: dict[str, Callable[[np.ndarray], float]]
    ways = {f"batches of {size}": partial(batches, size) for size in BATCHES}
    ways["a processor each"] = lanes
    trial = windows[:TRIAL]
    taken = {name: min(way(trial) for _ in range(2)) for name, way in ways.items()}
    best = min(taken, key=taken.__getitem__)
    rates = ", ".join(f"{name} {len(trial) / found:.2f}/s" for name, found in taken.items())
    print(f"bare network: {rates}; the loop runs as: {best}")
    return partial(ways[best], windows)


def prepared(service: Service, checkpoint: Path, windows: np.ndarray) -> list[str]:
    """The model imported, the records stored; their ids."""
    with checkpoint.open("rb") as file:
        parts = [("file", (checkpoint.name, file))]
        service.client.post(
            "/v1/models/import", files=parts, data={"name": NAME}
        ).raise_for_status()
    records = []
    for number, window in enumerate(windows):
        answer = service.client.post("/v1/records", files=wfdb_parts(window, number))
        records.append(answer.raise_for_status().json()["id"])
    through_service(service, records[:4], 4)  # the model is loaded
    return records


def wfdb_parts(window: np.ndarray, number: int) -> list[tuple[str, tuple[str, bytes]]]:
    name, gain = f"w{number}", 1000
    lines = [f"{name} {len(STANDARD_12)} {SAMPLING_RATE_HZ:g} {WINDOW_SAMPLES}"]
    lines += [f"{name}.dat 16 {gain}/mV 16 0 0 0 0 {lead}" for lead in STANDARD_12]
    samples = np.rint(window * gain).astype("<i2").T.tobytes()
    header = "\n".join(lines).encode() + b"\n"
    return [("file", (f"{name}.hea", header)), ("file", (f"{name}.dat", samples))]


def through_service(service: Service, records: list[str], clients: int) -> float:
    def ask(record_id: str) -> None:
        body = {"record_id": record_id, "task": "afib-5y", "model": f"{NAME}@1"}
        answer = service.client.post(
            "/v1/predictions", json=body, headers={"Prefer": "wait=60"}
        ).raise_for_status()
        found = answer.json()
        while found["finished_at"] is None:
            time.sleep(0.5)
            found = service.client.get(f"/v1/predictions/{found['id']}").raise_for_status().json()
        if found["status"] != "succeeded":
            raise RuntimeError(found["error"])

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, records))
    return time.perf_counter() - started


class LitServer:
    """The same network behind LitServe, in a process of its own."""

    def __init__(self, checkpoint: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.deepecg_litserve", str(checkpoint), str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        limits = httpx2.Limits(max_connections=None)
        self.pid = self._process.pid
        self._client = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=600.0, trust_env=False, limits=limits
        )
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            try:
                if self._client.get("/health").is_success:
                    return
            except httpx2.HTTPError:
                pass
            time.sleep(0.5)
        raise RuntimeError("LitServe did not start")

    def through(self, windows: np.ndarray, clients: int) -> float:
        def ask(window: np.ndarray) -> None:
            packed = io.BytesIO()
            np.save(packed, window)
            part = {"window": ("window.npy", packed.getvalue())}
            self._client.post("/predict", files=part).raise_for_status()

        started = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(ask, windows))
        return time.perf_counter() - started

    def stop(self) -> None:
        self._client.close()
        os.killpg(self._process.pid, 15)
        self._process.wait(30)


def report(sides: dict[str, Side], arguments: argparse.Namespace) -> None:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            taken[name].append(side.measured())
    print(f"{arguments.requests} windows, {arguments.clients} clients, {arguments.rounds} rounds")
    bare = np.median(taken["bare"], axis=0)
    for name, times in taken.items():
        wall, processor = np.median(times, axis=0)
        print(
            f"  {name:<10}{arguments.requests / wall:8.2f} records/s, {bare[0] / wall:4.0%} of the "
            f"bare network;   {1e3 * processor / arguments.requests:6.0f} ms of processor a record "
            f"({bare[1] / processor:4.0%})"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
