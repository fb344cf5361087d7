"""Clients of the trials: they send each request again, most with its key, until it is accepted."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from reliability.fine_tuning import SHIPPED, dataset_request, fine_tune_request
from tests.labelled import beats_record

RETRY_S = 0.3
AGAIN = (408, 429, 503)  # 408: this client was itself too slow to send
SECONDS_OF_SIGNAL = 20.0
# of the requests without a key: those that bring their file along, uploads that are sent once more
AT_ONCE, ONCE_MORE = 0.3, 0.3

Parts = list[tuple[str, tuple[str, bytes]]]


@dataclass
class Accepted:
    """What clients were promised, for all threads."""

    records: dict[str, str] = field(default_factory=dict)
    predictions: dict[str, str] = field(default_factory=dict)
    fine_tunes: dict[str, str] = field(default_factory=dict)
    # by record: requests for a prediction, without a key, that may have been accepted unheard
    unsure: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Promise:
    """What an accepted request was answered; before it, answers that may mean yes as well as no."""

    told: dict[str, Any]
    unsure: int

    @property
    def id(self) -> str:
        return str(self.told["id"])


class Service(Protocol):
    """Whom they ask."""

    def client(self, timeout_s: float) -> httpx.Client: ...


class Client(threading.Thread):
    """Asks for one thing after the other until it is told to end."""

    def __init__(self, service: Service, number: int, accepted: Accepted) -> None:
        super().__init__(daemon=True)
        self._service, self._number, self._accepted = service, number, accepted
        self.ended = threading.Event()

    def _until_accepted(
        self, client: httpx.Client, path: str, key: str | None, **body: Any
    ) -> Promise | None:
        """None for what was refused for good, which none of these should be."""
        headers = {} if key is None else {"Idempotency-Key": key}
        unsure = 0
        while True:
            try:
                answer = client.post(path, headers=headers, **body)
            except httpx.ConnectError:  # nobody heard it
                time.sleep(RETRY_S)
                continue
            except httpx.HTTPError:
                unsure += 1
                time.sleep(RETRY_S)
                continue
            if answer.is_success:
                return Promise(answer.json(), unsure)
            self._accepted.refused[answer.status_code] += 1
            unsure += answer.is_server_error
            if answer.status_code not in AGAIN:
                self._accepted.problems.append(f"{path}: {answer.status_code} {answer.text[:300]}")
                return None
            time.sleep(RETRY_S)


class Predicting(Client):
    """Uploads one record after the other, and asks for its beats; rests in between."""

    def __init__(
        self, service: Service, number: int, accepted: Accepted, *, rest_s: float = 0.0
    ) -> None:
        super().__init__(service, number, accepted)
        self._rest_s = rest_s

    def run(self) -> None:
        count = 0
        with self._service.client(20.0) as client:
            while not self.ended.wait(self._rest_s):
                count += 1
                self._one(client, f"{self._number}-{count}", seed=self._number * 10_000 + count)

    def _one(self, client: httpx.Client, name: str, *, seed: int) -> None:
        parts = parts_of(seed)
        record = self._until_accepted(client, "/v1/records", f"rec-{name}", files=parts)
        if record is None:
            return
        self._accepted.records[name] = record.id
        asked = {"record_id": record.id, "task": "beats"}
        made = self._until_accepted(client, "/v1/predictions", f"pred-{name}", json=asked)
        if made is not None:
            self._accepted.predictions[name] = made.id


class Keyless(Predicting):
    """The same without keys: whoever loses an answer asks anew, and may have asked twice."""

    def _one(self, client: httpx.Client, name: str, *, seed: int) -> None:
        parts, dice = parts_of(seed), random.Random(seed)
        made = self._predicted(client, parts, at_once=dice.random() < AT_ONCE)
        if made is None:
            return
        record = self._accepted.records[name] = made.told["record_id"]
        self._accepted.predictions[name] = made.id
        self._accepted.unsure[record] += made.unsure
        if dice.random() < ONCE_MORE:
            again = self._until_accepted(client, "/v1/records", None, files=parts)
            if again is not None and again.id != record:
                self._accepted.problems.append(f"the bytes of {record} became {again.id} as well")

    def _predicted(self, client: httpx.Client, parts: Parts, *, at_once: bool) -> Promise | None:
        if at_once:
            return self._until_accepted(client, "/v1/predict/beats", None, files=parts)
        record = self._until_accepted(client, "/v1/records", None, files=parts)
        if record is None:
            return None
        asked = {"record_id": record.id, "task": "beats"}
        return self._until_accepted(client, "/v1/predictions", None, json=asked)


def parts_of(seed: int) -> Parts:
    """The files of a record of its own, as a form takes them."""
    files = beats_record(f"r{seed}", seed, duration_s=SECONDS_OF_SIGNAL)
    return [("file", item) for item in files.items()]


class FineTuning(Client):
    """Fine-tunes once and again, on one dataset. epochs: of each. base: that it starts from."""

    def __init__(
        self,
        service: Service,
        number: int,
        accepted: Accepted,
        *,
        epochs: int,
        base: str = SHIPPED,
    ) -> None:
        super().__init__(service, number, accepted)
        self._epochs, self._base = epochs, base

    def run(self) -> None:
        with self._service.client(60.0) as client:
            dataset = self._until_accepted(client, "/v1/datasets", "ds", **dataset_request())
            while dataset is not None and not self.ended.is_set():
                name = f"ft-{len(self._accepted.fine_tunes)}"
                body = fine_tune_request(
                    dataset.id, epochs=self._epochs, seed=self._number, base=self._base
                )
                made = self._until_accepted(client, "/v1/fine-tunes", name, json=body)
                if made is None:
                    return
                self._accepted.fine_tunes[name] = made.id
                self._wait_for(client, made.id)

    def _wait_for(self, client: httpx.Client, fine_tune_id: str) -> None:
        while not self.ended.wait(1.0):
            try:
                answer = client.get(f"/v1/fine-tunes/{fine_tune_id}")
            except httpx.HTTPError:
                continue
            if answer.is_success and answer.json()["finished_at"]:
                return
