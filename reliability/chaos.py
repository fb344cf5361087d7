"""Parts are killed at random while clients upload, predict and fine-tune; then nothing may be lost.

    make chaos ROUNDS=200

In each round a part (the API, one of its processes, a worker, the trainer, the process of a
fine-tune, Postgres, Valkey) gets SIGKILL at a random moment, or Valkey is emptied; half way
Postgres is kept away for a minute.
Clients send each request again, with the same Idempotency-Key, until it is accepted. In the end
every accepted request has exactly one result, database and store say the same, and no fine-tune
began anew that had a checkpoint.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
import redis
from sqlalchemy.engine import make_url

from reliability.fine_tuning import dataset_request, fine_tune_request
from reliability.service import Trial
from services import ids
from tests.labelled import beats_record

SETTINGS = {
    "ECTOPY_LEASE_S": "4",
    "ECTOPY_RESEND_AFTER_S": "2",
    "ECTOPY_JOB_MAX_ATTEMPTS": "100",  # a job may be hit again and again here
    "ECTOPY_CHECKPOINT_EVERY_S": "0.5",
}
LONGEST_S = 2.0  # until the next kill, after all was ready
EMPTIED = "valkey emptied"
END_PATIENCE_S = 600.0
RETRY_S = 0.3
AGAIN = (408, 429, 503)  # 408: this client was itself too slow to send
EPOCHS = 12
SECONDS_OF_SIGNAL = 20.0


@dataclass
class Accepted:
    """What clients were promised, for all threads."""

    records: dict[str, str] = field(default_factory=dict)
    predictions: dict[str, str] = field(default_factory=dict)
    fine_tunes: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)


class Client(threading.Thread):
    """Asks for one thing after the other until it is told to end."""

    def __init__(self, trial: Trial, number: int, accepted: Accepted) -> None:
        super().__init__(daemon=True)
        self._trial, self._number, self._accepted = trial, number, accepted
        self.ended = threading.Event()

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
            if answer.status_code not in AGAIN:
                self._accepted.problems.append(f"{path}: {answer.status_code} {answer.text[:300]}")
                return None
            time.sleep(RETRY_S)


class Predicting(Client):
    """Uploads one record after the other, and asks for its beats."""

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


class FineTuning(Client):
    """Fine-tunes once and again, on one dataset."""

    def run(self) -> None:
        with self._trial.client(60.0) as client:
            dataset = self._until_accepted(client, "/v1/datasets", "ds", **dataset_request())
            while dataset is not None and not self.ended.is_set():
                name = f"ft-{len(self._accepted.fine_tunes)}"
                body = fine_tune_request(dataset, epochs=EPOCHS, seed=self._number)
                made = self._until_accepted(client, "/v1/fine-tunes", name, json=body)
                if made is None:
                    return
                self._accepted.fine_tunes[name] = made
                self._wait_for(client, made)

    def _wait_for(self, client: httpx.Client, fine_tune_id: str) -> None:
        while not self.ended.wait(1.0):
            try:
                answer = client.get(f"/v1/fine-tunes/{fine_tune_id}")
            except httpx.HTTPError:
                continue
            if answer.is_success and answer.json()["finished_at"]:
                return


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
                away_s=arguments.away_s,
            )
            deaf = trial.logs().count("worker.deaf")
            print(f"workers that heard nothing any more and ended themselves: {deaf}")
            crashes = [line for line in trial.logs().splitlines() if "job.crashed" in line]
            problems += [f"an error that nobody expected: {line}" for line in crashes]
        finally:
            trial.stop()
    for problem in problems:
        print(problem)
    print("all invariants hold" if not problems else f"{len(problems)} problems")
    sys.exit(bool(problems))


def chaos(
    trial: Trial, *, rounds: int, clients: int, seed: int = 1, only: str = "", away_s: float = 0.0
) -> list[str]:
    """What is wrong in the end; nothing, it is hoped."""
    dice, accepted = random.Random(seed), Accepted()
    running: list[Client] = [Predicting(trial, number, accepted) for number in range(clients)]
    running.append(FineTuning(trial, seed, accepted))
    for client in running:
        client.start()
    killed: Counter[str] = Counter()
    slowest_s = 0.0
    for number in range(rounds):
        if away_s and number == rounds // 2:
            killed["postgres, kept away"] += kept_away(trial, "postgres", seconds=away_s)
            trial.wait_ready()
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
    print(
        f"accepted: {len(accepted.records)} records, {len(accepted.predictions)} predictions, "
        f"{len(accepted.fine_tunes)} fine-tunes"
    )
    print(f"answered otherwise meanwhile: {dict(accepted.refused)}")
    return accepted.problems + checked(trial, accepted)


def strike(trial: Trial, dice: random.Random, only: str = "") -> str:
    """Kills one part, or empties the broker; says which. only: parts whose name begins so."""
    parts = trial.victims()
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
    return name


def kept_away(trial: Trial, name: str, *, seconds: float) -> int:
    """Kills a part whenever it has come back, for so long; how many times."""
    times, ends_at = 0, time.monotonic() + seconds
    while time.monotonic() < ends_at:
        part = trial.parts().get(name)
        if part is not None:
            try:
                part.kill()
                part.wait(10)
                times += 1
            except psutil.Error:  # it is gone already
                continue
        time.sleep(0.1)
    return times


def checked(trial: Trial, accepted: Accepted) -> list[str]:
    """The invariants, in the database and in the store."""
    with psycopg.connect(trial.database_url(), autocommit=True) as database:
        problems = _waited_until_all_ended(database)
        problems += _each_has_one_result(database, accepted)
        problems += _each_ended_once(database)
        problems += _fine_tunes_became_models(database, accepted)
        problems += _none_began_anew(database, accepted)
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
    print(f"predictions ended as: {dict(Counter(row[0] for row in rows.values()))}")
    problems = [f"accepted, and gone: {one}" for one in promised if one not in rows]
    problems += [f"made, and never accepted: {one}" for one in set(rows) - set(promised)]
    problems += [
        f"accepted twice: {n} times {one}" for one, n in Counter(promised).items() if n > 1
    ]
    problems += [f"{one}: {row}" for one, row in rows.items() if row[:4] != ("succeeded", 1, 1, 1)]
    return problems


def _each_ended_once(database: psycopg.Connection) -> list[str]:
    doubled = "select resource_id, count(*) from jobs group by 1 having count(*) > 1"
    problems = [f"several jobs of {row[0]}" for row in database.execute(doubled)]
    ends = (
        "select job_id, count(*) from job_events where kind = 'status' and "
        "data->>'status' in ('succeeded', 'failed', 'cancelled') group by 1 having count(*) <> 1"
    )
    return problems + [f"{row[0]} ended {row[1]} times" for row in database.execute(ends)]


def _fine_tunes_became_models(database: psycopg.Connection, accepted: Accepted) -> list[str]:
    """Each succeeded, through all its epochs, and is one version that no other one is."""
    query = (
        "select f.id, j.status, jsonb_array_length(f.history), f.result_version, j.error::text "
        "from fine_tunes f join jobs j on j.id = f.job_id"
    )
    rows = {row[0]: row[1:] for row in database.execute(query)}
    promised = set(accepted.fine_tunes.values())
    print(f"fine-tunes ended as: {dict(Counter(row[0] for row in rows.values()))}")
    problems = [f"accepted, and gone: {one}" for one in promised - set(rows)]
    problems += [f"made, and never accepted: {one}" for one in set(rows) - promised]
    problems += [f"{one}: {row}" for one, row in rows.items() if row[:2] != ("succeeded", EPOCHS)]
    became = sorted(row[2] for row in rows.values() if row[2] is not None)
    versions = "select version from model_versions where name = 'trial-beats' order by version"
    there = [row[0] for row in database.execute(versions)]
    if became != there:
        problems.append(f"fine-tunes became versions {became}, and there are {there}")
    return problems


def _none_began_anew(database: psycopg.Connection, accepted: Accepted) -> list[str]:
    """After a checkpoint at an update, no later one is of an earlier update."""
    query = (
        "select f.id, e.kind, e.data->>'kind', (e.data->>'update')::int, e.data->>'status' "
        "from fine_tunes f join job_events e on e.job_id = f.job_id order by e.id"
    )
    kept: defaultdict[str, int] = defaultdict(int)
    began: Counter[str] = Counter()
    went_on: Counter[str] = Counter()
    problems = []
    for fine_tune, kind, which, update, status in database.execute(query):
        if kind == "status" and status == "running":
            began[fine_tune] += 1
            went_on[fine_tune] += kept[fine_tune] > 0
        if kind != "checkpoint" or which != "last":
            continue
        if update < kept[fine_tune]:
            problems.append(f"{fine_tune} fell back from update {kept[fine_tune]} to {update}")
        kept[fine_tune] = update
    print(
        f"attempts at {len(accepted.fine_tunes)} fine-tunes: {sum(began.values())}, of which "
        f"{sum(went_on.values())} went on from a checkpoint"
    )
    return problems


def _files_and_rows_agree(database: psycopg.Connection, trial: Trial) -> list[str]:
    """A crash may leave files that no row names: upkeep's own search has to find all of them."""
    from services.db.session import engine_for, session_factory
    from services.fine_tunes import service as fine_tunes
    from services.records import service as records
    from services.settings import Settings
    from services.storage.factory import store_for

    store = store_for(Settings(_env_file=None, data_dir=trial.data))
    url = trial.database_url().replace("postgresql://", "postgresql+psycopg://")
    engine = engine_for(make_url(url))
    with session_factory(engine)() as session:
        left = records.orphan_files(session, store, before_id=ids.id_at("rec", time.time()))
        swept = fine_tunes.remove_orphans(session, store, before_id=ids.id_at("ft", time.time()))
    engine.dispose()
    for record_id in left:
        records.discard_files(store, record_id)
    rows = {row[0] for row in database.execute("select id from records")}
    there = {path.name for path in (trial.data / "store" / "records").iterdir()}
    print(
        f"{len(rows)} records; files of {len(left)} that a kill left behind were swept, and "
        f"{len(swept)} folders of models"
    )
    problems = [f"a row without files: {one}" for one in rows - there]
    problems += [f"files without a row: {one}" for one in there - rows]
    query = "select location from model_versions where location like 'store:%'"
    rows = {row[0].rsplit("/", 1)[-1] for row in database.execute(query)}
    folder = trial.data / "store" / "models"
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    problems += [f"a version without files: {one}" for one in rows - there]
    return problems + [f"files without a version: {one}" for one in there - rows]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--away-s", type=float, default=60.0, help="Postgres, half way; 0: not")
    parser.add_argument("--only", default="", help="parts whose name begins so: valkey, worker ...")
    return parser.parse_args()


if __name__ == "__main__":
    main()
