"""Clients of `make load`: one process's share of them, and what they met with."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from reliability.fine_tuning import dataset_request, fine_tune_request
from tests.labelled import beats_record

DURATIONS_S = (30.0, 30.0, 30.0, 120.0, 120.0, 600.0, 1800.0)
HONEST = {429, 503}
REST_S = 2.0
COMING_S = 30.0  # until all of them are there, or a quarter of the time
ASK_S = 5.0  # between looks at the fine-tune
LAG_S = 0.05  # between looks at how late this process is itself
TIMEOUT = aiohttp.ClientTimeout(total=120)
# of a stream of events, which lasts as long as its job waits and runs: that it may be silent
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_read=60)
EPOCHS = 1000  # more than there is time for: it is cancelled in the end


@dataclass
class Met:
    """What clients met with, by what they asked for.

    took: seconds to each answer. late: how late a process that wanted to go on went on, which is
    in what it took, but is not the service's.
    """

    took: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    late: list[float] = field(default_factory=list)
    processor_s: float = 0.0
    fine_tune: dict[str, Any] = field(default_factory=dict)

    def add(self, other: Met) -> None:
        for what, found in other.took.items():
            self.took[what] += found
        for what, counts in other.statuses.items():
            self.statuses[what] += counts
        self.late += other.late
        self.processor_s += other.processor_s
        self.fine_tune |= other.fine_tune


@dataclass(frozen=True)
class Share:
    """What one process does. beside: the batches and the fine-tune too."""

    url: str
    headers: Mapping[str, str]
    clients: Sequence[int]
    seconds: float
    beside: bool


@dataclass(frozen=True)
class _Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after_s: float

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return json.loads(self.body)


def met_by(share: Share) -> Met:
    """Runs a share of the clients to their end."""
    began = time.process_time()
    clients = _Clients(share)
    asyncio.run(clients.run())
    clients.met.processor_s = time.process_time() - began
    return clients.met


class _Clients:
    def __init__(self, share: Share) -> None:
        self._share = share
        self._ends_at = time.monotonic() + share.seconds
        self._bodies = [_body(seconds, n) for n, seconds in enumerate(DURATIONS_S)]
        self._records: list[str] = []
        self._number = 0
        self.met = Met()

    async def run(self) -> None:
        async with self._connected() as client:
            await self._upload(client, random.Random(0))
            work = [self._client(number) for number in self._share.clients]
            if self._share.beside:
                work += [self._batches(client), self._fine_tune(client)]
            await asyncio.gather(self._lateness(), *work)

    def _connected(self) -> aiohttp.ClientSession:
        """A client with connections of its own, as each has."""
        return aiohttp.ClientSession(self._share.url, headers=self._share.headers, timeout=TIMEOUT)

    async def _lateness(self) -> None:
        while time.monotonic() < self._ends_at:
            due = time.perf_counter() + LAG_S
            await asyncio.sleep(LAG_S)
            self.met.late.append(max(0.0, time.perf_counter() - due))

    async def _client(self, number: int) -> None:
        dice = random.Random(number)
        actions: dict[Callable[[aiohttp.ClientSession, random.Random], Awaitable[Any]], int] = {
            self._upload: 2,
            self._predict: 3,
            self._read: 12,
        }
        await asyncio.sleep(dice.uniform(0, min(COMING_S, self._share.seconds / 4)))
        async with self._connected() as client:
            while time.monotonic() < self._ends_at:
                (action,) = dice.choices(list(actions), list(actions.values()))
                await action(client, dice)
                await asyncio.sleep(dice.expovariate(1 / REST_S))

    async def _send(
        self, client: aiohttp.ClientSession, what: str, method: str, path: str, **more: Any
    ) -> _Answer | None:
        started = time.perf_counter()
        try:
            async with client.request(method, path, **more) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.met.statuses[f"{what} ({type(error).__name__})"][0] += 1
            return None
        self.met.took[what].append(time.perf_counter() - started)
        self.met.statuses[what][answer.status] += 1
        later_s = float(answer.headers.get("Retry-After", REST_S))
        if answer.status in HONEST:
            await asyncio.sleep(later_s)
        return _Answer(answer.status, body, later_s)

    async def _upload(self, client: aiohttp.ClientSession, dice: random.Random) -> None:
        body = dict(dice.choice(self._bodies))
        self._number += 1
        (header,) = [name for name in body if name.endswith(".hea")]
        # other bytes than any process's before: another record
        body[header] += f"# {self._share.clients[0]} {self._number}\n".encode()
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
            await self._send(client, "events", "GET", f"{path}/events", timeout=STREAM_TIMEOUT)
        else:
            await self._followed(client, path, answer)
        self.met.took["asked to labels"].append(time.perf_counter() - started)

    async def _followed(
        self,
        client: aiohttp.ClientSession,
        path: str,
        accepted: _Answer,
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
        for name_of_field, (name, content) in request["files"].items():
            parts.add_field(name_of_field, content, filename=name)
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
                self.met.fine_tune = found.json()
        await self._send(client, "cancel fine-tune", "POST", f"{path}/cancel")


def _body(seconds: float, seed: int) -> dict[str, bytes]:
    return beats_record(f"load{seed}", seed, duration_s=seconds)
