"""Parts are killed at random while clients upload and predict; then nothing may be lost or doubled.

    make chaos ROUNDS=200

In each round a part (API, a worker, Postgres, Valkey) gets SIGKILL at a random moment, or Valkey is
emptied. Clients send each request again, with the same Idempotency-Key, until it is accepted. In
the end every accepted request has exactly one result, and database and store say the same.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
import redis
from sqlalchemy.engine import make_url

from reliability.service import Trial
from services import ids
from tests.labelled import beats_record

SETTINGS = {
    "ECTOPY_LEASE_S": "4",
    "ECTOPY_RESEND_AFTER_S": "2",
    "ECTOPY_JOB_MAX_ATTEMPTS": "100",  # a job may be hit again and again here
}
LONGEST_S = 2.0  # until the next kill, after all was ready
EMPTIED = "valkey emptied"
END_PATIENCE_S = 300.0
RETRY_S = 0.3
SECONDS_OF_SIGNAL = 20.0


@dataclass
class Accepted:
    """What clients were promised, for all threads."""

    records: dict[str, str] = field(default_factory=dict)
    predictions: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)


class Client(threading.Thread):
    """Uploads one record after the other, and asks for its beats."""

    def __init__(self, trial: Trial, number: int, accepted: Accepted) -> None:
        super().__init__(daemon=True)
        self._trial, self._number, self._accepted = trial, number, accepted
        self.ended = threading.Event()

    def run(self) -> None:
        count = 0
        with self._trial.client(20.0) as client:
            while not self.ended.is_set():
                count += 1
                self._one(client, f"{self._number}-{count}", seed=self._number * 10_000 + count)

    def _one(self, client: httpx.Client, name: str, *, seed: int) -> None:
        files = beats_record(f"r{seed}", seed, duration_s=SECONDS_OF_SIGNAL)
        parts = [("file", item) for item in files.items()]
        record = self._until_accepted(client, "/v1/records", f"rec-{name}", files=parts)
        if record is None:
            return
        self._accepted.records[name] = record
        asked = {"record_id": record, "task": "beats"}
        made = self._until_accepted(client, "/v1/predictions", f"pred-{name}", json=asked)
        if made is not None:
            self._accepted.predictions[name] = made

    def _until_accepted(
        self, client: httpx.Client, path: str, key: str, **body: object
    ) -> str | None:
        """The id; None for what was refused for good, which none of these should be."""
        while True:
            try:
                headers = {"Idempotency-Key": key}
                answer = client.post(path, headers=headers, **body)  # type: ignore[arg-type]
            except httpx.HTTPError:
                time.sleep(RETRY_S)
                continue
            if answer.is_success:
                found: str = answer.json()["id"]
                return found
            self._accepted.refused[answer.status_code] += 1
            if answer.status_code not in (429, 503):
                self._accepted.problems.append(f"{path}: {answer.status_code} {answer.text[:300]}")
                return None
            time.sleep(RETRY_S)


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), **SETTINGS)
        try:
            problems = chaos(
                trial,
                rounds=arguments.rounds,
                clients=arguments.clients,
                seed=arguments.seed,
                only=arguments.only,
            )
            deaf = trial.logs().count("worker.deaf")
            print(f"workers that heard nothing any more and ended themselves: {deaf}")
        finally:
            trial.stop()
    for problem in problems:
        print(problem)
    print("all invariants hold" if not problems else f"{len(problems)} problems")
    sys.exit(bool(problems))


def chaos(trial: Trial, *, rounds: int, clients: int, seed: int = 1, only: str = "") -> list[str]:
    """What is wrong in the end; nothing, it is hoped."""
    dice, accepted = random.Random(seed), Accepted()
    running = [Client(trial, number, accepted) for number in range(clients)]
    for client in running:
        client.start()
    killed: Counter[str] = Counter()
    slowest_s = 0.0
    for _ in range(rounds):
        time.sleep(dice.uniform(0, LONGEST_S))
        killed[strike(trial, dice, only)] += 1
        started = time.monotonic()
        trial.wait_ready()
        slowest_s = max(slowest_s, time.monotonic() - started)
    for client in running:
        client.ended.set()
    for client in running:
        client.join()
    print(f"{rounds} rounds: {dict(killed)}; ready again after at most {slowest_s:.1f} s")
    print(f"accepted: {len(accepted.records)} records, {len(accepted.predictions)} predictions")
    print(f"answered otherwise meanwhile: {dict(accepted.refused)}")
    return accepted.problems + checked(trial, accepted)


def strike(trial: Trial, dice: random.Random, only: str = "") -> str:
    """Kills one part, or empties the broker; says which. only: parts whose name begins so."""
    parts = trial.parts()
    names = [name for name in (*sorted(parts), EMPTIED) if name.startswith(only)]
    if not names:
        return "nothing"
    name = dice.choice(names)
    if name == EMPTIED:
        try:
            with redis.Redis.from_url(trial.broker_url(), socket_timeout=5) as broker:
                broker.flushall()
        except redis.RedisError:  # it was killed in the round before, and is not back yet
            return "nothing"
        return name
    try:
        parts[name].kill()
        parts[name].wait(10)
    except psutil.Error:
        return "nothing"
    return name.split(maxsplit=1)[0]


def checked(trial: Trial, accepted: Accepted) -> list[str]:
    """The invariants, in the database and in the store."""
    with psycopg.connect(trial.database_url(), autocommit=True) as database:
        problems = _waited_until_all_ended(database)
        problems += _each_has_one_result(database, accepted)
        problems += _files_and_rows_agree(database, trial)
    return problems


def _waited_until_all_ended(database: psycopg.Connection) -> list[str]:
    deadline = time.monotonic() + END_PATIENCE_S
    query = "select id, status, attempts from jobs where finished_at is null"
    while left := database.execute(query).fetchall():
        if time.monotonic() > deadline:
            return [f"not ended after {END_PATIENCE_S:g} s: {left[:5]} of {len(left)}"]
        time.sleep(0.5)
    return []


def _each_has_one_result(database: psycopg.Connection, accepted: Accepted) -> list[str]:
    query = (
        "select p.id, j.status, count(i.*), count(i.summary), count(i.beats), j.error::text "
        "from predictions p join jobs j on j.id = p.job_id "
        "left join prediction_items i on i.prediction_id = p.id group by 1, 2, 6"
    )
    rows = {row[0]: row[1:] for row in database.execute(query)}
    promised = list(accepted.predictions.values())
    print(f"ended as: {dict(Counter(row[0] for row in rows.values()))}")
    problems = [f"accepted, and gone: {one}" for one in promised if one not in rows]
    problems += [f"made, and never accepted: {one}" for one in set(rows) - set(promised)]
    problems += [
        f"accepted twice: {n} times {one}" for one, n in Counter(promised).items() if n > 1
    ]
    problems += [f"{one}: {row}" for one, row in rows.items() if row[:4] != ("succeeded", 1, 1, 1)]
    doubled = "select resource_id, count(*) from jobs group by 1 having count(*) > 1"
    problems += [f"several jobs of {row[0]}" for row in database.execute(doubled)]
    ends = (
        "select job_id, count(*) from job_events where kind = 'status' and "
        "data->>'status' in ('succeeded', 'failed', 'cancelled') group by 1 having count(*) <> 1"
    )
    return problems + [f"{row[0]} ended {row[1]} times" for row in database.execute(ends)]


def _files_and_rows_agree(database: psycopg.Connection, trial: Trial) -> list[str]:
    """A crash may leave files that no row names: upkeep's own search has to find all of them."""
    from services.db.session import engine_for, session_factory
    from services.records import service as records
    from services.settings import Settings
    from services.storage.factory import store_for

    store = store_for(Settings(_env_file=None, data_dir=trial.data))
    url = trial.database_url().replace("postgresql://", "postgresql+psycopg://")
    engine = engine_for(make_url(url))
    with session_factory(engine)() as session:
        left = records.orphan_files(session, store, before_id=ids.id_at("rec", time.time()))
    engine.dispose()
    for record_id in left:
        records.discard_files(store, record_id)
    rows = {row[0] for row in database.execute("select id from records")}
    there = {path.name for path in (trial.data / "store" / "records").iterdir()}
    print(f"{len(rows)} records; files of {len(left)} that a kill left behind were swept")
    problems = [f"a row without files: {one}" for one in rows - there]
    return problems + [f"files without a row: {one}" for one in there - rows]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="parts whose name begins so: valkey, worker ...")
    return parser.parse_args()


if __name__ == "__main__":
    main()
