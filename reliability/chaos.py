"""Parts are killed at random while clients upload, predict and fine-tune; then nothing may be lost.

    make chaos ROUNDS=200

In each round a part (the API, one of its processes, a worker, the trainer, the process of a
fine-tune, Postgres, Valkey) gets SIGKILL at a random moment, or Valkey is emptied; half way
Postgres is kept away for a minute.
Clients send each request again until it is accepted, half of those that predict (the first, third
...) without an Idempotency-Key, the others with the same. In the end every accepted request has
exactly one result, nothing was made that nobody asked for, database and store say the same, and no
fine-tune began anew that had a checkpoint.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import redis

from reliability.clients import Accepted, Client, FineTuning, Keyless, Predicting
from reliability.invariants import checked
from reliability.service import Trial

SETTINGS = {
    "ECTOPY_LEASE_S": "4",
    "ECTOPY_RESEND_AFTER_S": "2",
    "ECTOPY_JOB_MAX_ATTEMPTS": "100",  # a job may be hit again and again here
    "ECTOPY_CHECKPOINT_EVERY_S": "0.5",
}
LONGEST_S = 2.0  # until the next kill, after all was ready
EMPTIED = "valkey emptied"
EPOCHS = 12


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
    running: list[Client] = [
        (Predicting if number % 2 else Keyless)(trial, number, accepted)
        for number in range(clients)
    ]
    running.append(FineTuning(trial, seed, accepted, epochs=EPOCHS))
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
