"""Many clients at once: what they wait, what fails, what grows.

    make load CLIENTS=500 MINUTES=10

Clients upload records of 30 s to 30 min, ask for beats and poll or follow the events, look at lists
and stretches of signal; a batch over many records runs beside, and a fine-tune. Each client rests a
while between its requests, as people and programs do, and as long as `Retry-After` says where it is
refused (429, 503) or what it polls has not ended. All is on one machine, these clients too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psycopg

from reliability.fine_tuning import dataset_request, fine_tune_request
from reliability.growth import growth, watched
from reliability.service import Trial
from tests.labelled import beats_record

DURATIONS_S = (30.0, 30.0, 30.0, 120.0, 120.0, 600.0, 1800.0)
HONEST = {429, 503}
CHEAP = ("list records", "get record", "list models", "get prediction", "get fine-tune")
REST_S = 2.0
COMING_S = 30.0  # until all of them are there
CHEAP_P99_S = 0.1
WARM_UP = 0.3  # of the time: after it nothing may grow
ASK_S = 5.0  # between looks at the fine-tune
TIMEOUT = aiohttp.ClientTimeout(total=120)
EPOCHS = 1000  # more than there is time for: it is cancelled in the end


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after_s: float

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return json.loads(self.body)


class Load:
    """The clients of one trial, and what they met with."""

    def __init__(self, trial: Trial, *, clients: int, seconds: float) -> None:
        self._trial, self._clients = trial, clients
        self._ends_at = time.monotonic() + seconds
        self.took: defaultdict[str, list[float]] = defaultdict(list)
        self.statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.memory: list[dict[str, float]] = []
        self.fine_tune: dict[str, Any] = {}
        self._bodies = [self._body(seconds_, n) for n, seconds_ in enumerate(DURATIONS_S)]
        self._records: list[str] = []
        self._number = 0

    async def run(self) -> None:
        async with self._connected() as client:
            await self._upload(client, random.Random(0))
            work = [self._client(number) for number in range(self._clients)]
            beside = (self._batches(client), self._fine_tune(client))
            with watched(self._trial) as self.memory:
                await asyncio.gather(*beside, *work)

    def _connected(self) -> aiohttp.ClientSession:
        """A client with connections of its own, as each has."""
        return aiohttp.ClientSession(self._trial.url, headers=self._trial.headers, timeout=TIMEOUT)

    @staticmethod
    def _body(seconds: float, seed: int) -> dict[str, bytes]:
        return beats_record(f"load{seed}", seed, duration_s=seconds)

    async def _client(self, number: int) -> None:
        dice = random.Random(number)
        actions: dict[Callable[[aiohttp.ClientSession, random.Random], Awaitable[Any]], int] = {
            self._upload: 2,
            self._predict: 3,
            self._read: 12,
        }
        await asyncio.sleep(dice.uniform(0, COMING_S))
        async with self._connected() as client:
            while time.monotonic() < self._ends_at:
                (action,) = dice.choices(list(actions), list(actions.values()))
                await action(client, dice)
                await asyncio.sleep(dice.expovariate(1 / REST_S))

    async def _send(
        self, client: aiohttp.ClientSession, what: str, method: str, path: str, **more: Any
    ) -> Answer | None:
        started = time.perf_counter()
        try:
            async with client.request(method, path, **more) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.statuses[f"{what} ({type(error).__name__})"][0] += 1
            return None
        self.took[what].append(time.perf_counter() - started)
        self.statuses[what][answer.status] += 1
        later_s = float(answer.headers.get("Retry-After", REST_S))
        if answer.status in HONEST:
            await asyncio.sleep(later_s)
        return Answer(answer.status, body, later_s)

    async def _upload(self, client: aiohttp.ClientSession, dice: random.Random) -> None:
        body = dict(dice.choice(self._bodies))
        self._number += 1
        (header,) = [name for name in body if name.endswith(".hea")]
        body[header] += f"# {self._number}\n".encode()  # other bytes: another record
        parts = aiohttp.FormData()
        for name, content in body.items():
            parts.add_field("file", content, filename=name)
        answer = await self._send(client, "upload", "POST", "/v1/records", data=parts)
        if answer is not None and answer.is_success:
            self._records = [*self._records[-500:], answer.json()["id"]]

    async def _predict(self, client: aiohttp.ClientSession, dice: random.Random) -> None:
        asked = {"record_id": dice.choice(self._records), "task": "beats"}
        started = time.perf_counter()
        answer = await self._send(client, "predict", "POST", "/v1/predictions", json=asked)
        if answer is None or not answer.is_success:
            return
        path = f"/v1/predictions/{answer.json()['id']}"
        if dice.random() < 0.5:
            await self._send(client, "events", "GET", f"{path}/events")
        else:
            await self._followed(client, path, answer)
        self.took["asked to labels"].append(time.perf_counter() - started)

    async def _followed(
        self,
        client: aiohttp.ClientSession,
        path: str,
        accepted: Answer,
        *,
        until: float = float("inf"),
    ) -> None:
        """Polls as it is told to, until it has ended."""
        running, later_s = True, accepted.retry_after_s
        while running and time.monotonic() < until:
            await asyncio.sleep(later_s)
            answer = await self._send(client, "get prediction", "GET", path)
            if answer is not None and answer.status not in HONEST:
                later_s = answer.retry_after_s
                running = answer.json().get("status", "gone") in ("queued", "running")

    async def _read(self, client: aiohttp.ClientSession, dice: random.Random) -> None:
        record = dice.choice(self._records)
        what, path = dice.choice(
            [
                ("list records", "/v1/records?limit=20"),
                ("get record", f"/v1/records/{record}"),
                ("list models", "/v1/models"),
                ("signal", f"/v1/records/{record}/signal?start_s=0&end_s=10&max_points=2000"),
            ]
        )
        await self._send(client, what, "GET", path)

    async def _batches(self, client: aiohttp.ClientSession) -> None:
        """One batch after the other, which interactive predictions must not wait for."""
        while time.monotonic() < self._ends_at:
            asked = {"record_ids": self._records[:50], "task": "beats"}
            answer = await self._send(client, "batch", "POST", "/v1/predictions/batch", json=asked)
            if answer is not None and answer.is_success:
                path = f"/v1/predictions/{answer.json()['id']}"
                await self._followed(client, path, answer, until=self._ends_at)
            await asyncio.sleep(1.0)

    async def _fine_tune(self, client: aiohttp.ClientSession) -> None:
        """One that goes on all the time."""
        request = dataset_request()
        parts = aiohttp.FormData(request["data"])
        for field, (name, content) in request["files"].items():
            parts.add_field(field, content, filename=name)
        made = await self._send(client, "dataset", "POST", "/v1/datasets", data=parts)
        if made is None or not made.is_success:
            return
        body = fine_tune_request(made.json()["id"], epochs=EPOCHS)
        begun = await self._send(client, "fine-tune", "POST", "/v1/fine-tunes", json=body)
        if begun is None or not begun.is_success:
            return
        path = f"/v1/fine-tunes/{begun.json()['id']}"
        while time.monotonic() < self._ends_at:
            await asyncio.sleep(ASK_S)
            found = await self._send(client, "get fine-tune", "GET", path)
            if found is not None and found.is_success:
                self.fine_tune = found.json()
        await self._send(client, "cancel fine-tune", "POST", f"{path}/cancel")


def report(load: Load, trial: Trial) -> list[str]:
    """Prints the figures; what breaks a promise comes back."""
    problems = []
    print(f"{'':<28}{'count':>8}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}{'most ms':>10}")
    for what, found in sorted(load.took.items()):
        p50, p95, p99, most = 1000 * np.quantile(found, (0.5, 0.95, 0.99, 1))
        print(f"{what:<28}{len(found):>8}{p50:>10.0f}{p95:>10.0f}{p99:>10.0f}{most:>10.0f}")
        if what in CHEAP and p99 > 1000 * CHEAP_P99_S:
            problems.append(f"p99 of {what} is {p99:.0f} ms")
    for what, counts in sorted(load.statuses.items()):
        bad = {status: n for status, n in counts.items() if not 200 <= status < 300}
        if bad:
            print(f"{what}: {bad}")
        problems += [f"{what}: {n} times {s}" for s, n in bad.items() if s not in HONEST]
    problems += growth(load.memory[int(WARM_UP * len(load.memory)) :])
    epochs, status = load.fine_tune.get("epoch", 0), load.fine_tune.get("status", "never begun")
    print(f"the fine-tune beside: {status}, {epochs} epochs")
    if not epochs:
        problems.append("no fine-tune ran beside")
    with psycopg.connect(trial.database_url()) as database:
        query = (
            "select queue, count(*), percentile_cont(0.5) within group (order by w), max(w) from "
            "(select queue, extract(epoch from started_at - created_at) w from jobs "
            "where started_at is not null) t group by 1"
        )
        for queue, count, half, most in database.execute(query):
            print(f"queue {queue}: {count} jobs waited {half:.2f} s (median), {most:.2f} s at most")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        try:
            seconds = 60 * arguments.minutes
            load = Load(trial, clients=arguments.clients, seconds=seconds)
            asyncio.run(load.run())
            problems = report(load, trial)
            print("seconds of the processors:", trial.processor_s())
        finally:
            trial.stop()
    for problem in problems:
        print(problem)
    print("all promises kept" if not problems else f"{len(problems)} promises broken")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
