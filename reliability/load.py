"""Many clients at once: what they wait, what fails, what grows.

    make load CLIENTS=500 MINUTES=10

Clients upload records of 30 s to 30 min, ask for beats and poll or follow the events, look at lists
and stretches of signal; a batch over many records runs beside, and a fine-tune. Each client rests a
while between its requests, as people and programs do, and as long as `Retry-After` says where it is
refused (429, 503) or what it polls has not ended. All is on one machine, these clients too: a few
processes of at most so many clients each, for what one sends to 499 others in its own process would
count as time that the service took. How late those processes are themselves is printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psycopg

from reliability.growth import growth, watched
from reliability.load_clients import HONEST, Met, Share, met_by
from reliability.service import Trial

CHEAP = ("list records", "get record", "list models", "get prediction", "get fine-tune")
CHEAP_P99_S = 0.1
WARM_UP = 0.3  # of the time: after it nothing may grow
CLIENTS_A_PROCESS = 100


def load(trial: Trial, *, clients: int, seconds: float) -> tuple[Met, list[dict[str, float]]]:
    """What so many clients met with in that time, and what the parts held all along."""
    processes = -(-clients // CLIENTS_A_PROCESS)
    shares = [
        Share(
            trial.url,
            trial.headers,
            range(number, clients, processes),
            seconds,
            beside=number == 0,
        )
        for number in range(processes)
    ]
    met = Met()
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawned) as pool, watched(trial) as memory:
        for each in pool.map(met_by, shares):
            met.add(each)
    return met, memory


def report(met: Met, memory: Sequence[Mapping[str, float]]) -> list[str]:
    """Prints the figures; what breaks a promise comes back."""
    problems = []
    print(f"{'':<28}{'count':>8}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}{'most ms':>10}")
    for what, found in sorted(met.took.items()):
        p50, p95, p99, most = 1000 * np.quantile(found, (0.5, 0.95, 0.99, 1))
        print(f"{what:<28}{len(found):>8}{p50:>10.0f}{p95:>10.0f}{p99:>10.0f}{most:>10.0f}")
        if what in CHEAP and p99 > 1000 * CHEAP_P99_S:
            problems.append(f"p99 of {what} is {p99:.0f} ms")
    half, p99, most = 1000 * np.quantile(met.late, (0.5, 0.99, 1))
    print(f"the clients were late themselves: {half:.1f} ms (median), {p99:.0f} (p99), {most:.0f}")
    for what, counts in sorted(met.statuses.items()):
        bad = {status: n for status, n in counts.items() if not 200 <= status < 300}
        if bad:
            print(f"{what}: {bad}")
        problems += [f"{what}: {n} times {s}" for s, n in bad.items() if s not in HONEST]
    problems += growth(memory[int(WARM_UP * len(memory)) :])
    epochs, status = met.fine_tune.get("epoch", 0), met.fine_tune.get("status", "never begun")
    print(f"the fine-tune beside: {status}, {epochs} epochs")
    if not epochs:
        problems.append("no fine-tune ran beside")
    return problems


def report_queues(database_url: str) -> None:
    """Prints how long jobs waited in each queue."""
    query = (
        "select queue, count(*), percentile_cont(0.5) within group (order by w), max(w) from "
        "(select queue, extract(epoch from started_at - created_at) w from jobs "
        "where started_at is not null) t group by 1"
    )
    with psycopg.connect(database_url) as database:
        for queue, count, half, most in database.execute(query):
            print(f"queue {queue}: {count} jobs waited {half:.2f} s (median), {most:.2f} s at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        try:
            met, memory = load(trial, clients=arguments.clients, seconds=60 * arguments.minutes)
            problems = report(met, memory)
            report_queues(trial.database_url())
            used = trial.processor_s() | {"clients": round(met.processor_s, 1)}
            print("seconds of the processors:", used)
        finally:
            trial.stop()
    for problem in problems:
        print(problem)
    print("all promises kept" if not problems else f"{len(problems)} promises broken")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
