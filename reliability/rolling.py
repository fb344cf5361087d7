"""An older revision gives way to this one, part after part, under clients; nothing may be lost.

    make rolling OLD=v1.0

The old code (of any git revision, in a worktree of its own) serves first: clients upload, predict
and fine-tune. The new code migrates the database, its parts start beside the old ones, and clients
ask both APIs at random, each request again, with the same Idempotency-Key, until it is accepted.
What one API was asked the other must know: records, predictions, events, keys of requests and of
callers. The old parts get SIGTERM, one after the other, and the fine-tune that the old trainer
began has to go on from its checkpoint under the new one.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from reliability.clients import AGAIN, Accepted, Client, FineTuning, Predicting
from reliability.fine_tuning import SHIPPED
from reliability.invariants import checked
from reliability.release import HERE, Release, Servers, servers_on
from reliability.service import free_port
from tests.labelled import beats_record

EPOCHS = 40
PATIENCE_S = 300.0
BETWEEN_S = 2.0
REST_S = 0.5
REVOKED_WITHIN_S = 15.0
BASE = "trial-base"
OTHER_RELEASE = "they came with another release of Ectopy"


@dataclass
class Service:
    """The APIs that serve now; each request goes to one of them at random."""

    servers: Servers
    key: str
    urls: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.servers.data

    def database_url(self) -> str:
        return self.servers.database_url()

    def client(self, timeout_s: float) -> httpx.Client:
        return self._client("http://any", timeout_s, transport=AtRandom(self.urls))

    def client_of(self, release: Release) -> httpx.Client:
        return self._client(release.url, 60.0)

    def _client(self, url: str, timeout_s: float, **more: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(
            base_url=url, headers=headers, timeout=timeout_s, trust_env=False, **more
        )


class AtRandom(httpx.BaseTransport):
    """Sends a request to one of the addresses; the list may change meanwhile."""

    def __init__(self, urls: list[str]) -> None:
        self._urls, self._inner = urls, httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        chosen = httpx.URL(random.choice(self._urls))
        request.url = request.url.copy_with(host=chosen.host, port=chosen.port)
        request.headers["Host"] = chosen.netloc.decode()
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class Reading(Client):
    """Reads what was made, wherever it was."""

    reads = 0

    def run(self) -> None:
        with self._service.client(60.0) as client:
            while not self.ended.wait(REST_S / 2):
                found = [f"/v1/records/{one}" for one in list(self._accepted.records.values())]
                found += [f"/v1/predictions/{o}" for o in list(self._accepted.predictions.values())]
                found += [f"/v1/fine-tunes/{o}" for o in list(self._accepted.fine_tunes.values())]
                self._read(client, random.choice([*found, "/v1/records", "/v1/models"]))

    def _read(self, client: httpx.Client, path: str) -> None:
        try:
            answer = client.get(path)
        except httpx.HTTPError:  # the API of this request has just ended
            return
        self.reads += 1
        if not answer.is_success and answer.status_code not in AGAIN:
            self._accepted.problems.append(f"{path}: {answer.status_code} {answer.text[:300]}")


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # with the worktree removed
    revision = arguments.old
    with tempfile.TemporaryDirectory() as folder, tree_of(revision, Path(folder) / "old") as tree:
        print(f"from {described(revision)} to {described('HEAD')} as it lies here")
        problems = rolling(
            tree,
            Path(folder) / "data",
            clients=arguments.clients,
            epochs=arguments.epochs,
            together_s=arguments.together_s,
        )
    for problem in problems:
        print(problem)
    print("all invariants hold" if not problems else f"{len(problems)} problems")
    sys.exit(bool(problems))


def rolling(tree: Path, data: Path, *, clients: int, epochs: int, together_s: float) -> list[str]:
    """What is wrong in the end. tree: of the old code. together_s: how long both serve."""
    with servers_on(data) as servers:
        old = Release("old", tree, servers, free_port())
        new = Release("new", HERE, servers, free_port())
        try:
            return replaced(old, new, clients=clients, epochs=epochs, together_s=together_s)
        finally:
            old.kill()
            new.kill()


def replaced(
    old: Release, new: Release, *, clients: int, epochs: int, together_s: float
) -> list[str]:
    """The story, from the old code alone to the new code alone."""
    old.command_line("migrate")
    keeps_models = (old.servers.data / "store" / "shipped").is_dir()
    service, accepted = Service(old.servers, _made_key(old), [old.url]), Accepted()
    old.start()
    old.wait_ready()
    with service.client_of(old) as client:
        imported(client)
    reader = Reading(service, 0, accepted)
    running: list[Client] = [
        Predicting(service, n, accepted, rest_s=REST_S) for n in range(clients)
    ]
    running += [reader, FineTuning(service, 1, accepted, epochs=epochs, base=f"{BASE}@1")]
    with asking(running):
        waited_for(lambda: has_checkpoint(service), "no fine-tune reached a checkpoint")
        # at once: by the time that the new code serves, a fine-tune may be over
        problems = old.stop("trainer")
        (begun, *_) = accepted.fine_tunes.values()
        new.command_line("migrate")
        new.start()
        new.wait_ready()
        service.urls.append(new.url)
        problems += crossed(service, old, new, accepted) + crossed(service, new, old, accepted)
        time.sleep(together_s)
        problems += ended(old, service)
        waited_for(lambda: not is_under_way(service, begun), "the old fine-tune does not end")
    problems += accepted.problems + handed_over(service, begun)
    problems += in_the_end(service, accepted, (old, new), reader.reads)
    return problems if keeps_models else unkept_as_one(problems)


@contextmanager
def asking(clients: list[Client]) -> Iterator[None]:
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.ended.set()
    for client in clients:
        client.join()


def ended(old: Release, service: Service) -> list[str]:
    """SIGTERM to one part after the other; an API that is about to end is asked nothing new."""
    problems = []
    for part in sorted(old.running, key=lambda part: part == "api"):
        if part == "api":
            service.urls.remove(old.url)
        problems += old.stop(part)
        time.sleep(BETWEEN_S)
    return problems


def imported(client: httpx.Client, name: str = SHIPPED) -> None:
    """The old code's model once more as one of the project's own: weights that both codes can read,
    whichever model each comes with."""
    answers = client.get(f"/v1/models/{name}/versions/1/download")
    answers.raise_for_status()
    files = {"file": (f"{name}.zip", answers.content)}
    made = client.post("/v1/models/import", files=files, data={"name": BASE})
    if made.status_code != 201:
        raise RuntimeError(f"the model was not imported: {made.status_code} {made.text[:300]}")


def crossed(service: Service, here: Release, there: Release, accepted: Accepted) -> list[str]:
    """What one API was asked and is not the same to the other."""
    name = f"{here.name}-{there.name}"
    record = beats_record(name, ord(name[0]), duration_s=20.0)
    problems = revoked_key(here, there)
    with service.client_of(here) as asked, service.client_of(there) as other:
        parts = [("file", item) for item in record.items()]
        ids = same_of_both((asked, other), "/v1/records", f"rec-{name}", files=parts)
        accepted.records[name] = ids[0]
        body = {"record_id": ids[0], "task": "beats", "model": f"{BASE}@1"}
        made = same_of_both((asked, other), "/v1/predictions", f"pred-{name}", json=body)
        accepted.predictions[name] = made[0]
        if len({*ids}) > 1 or len({*made}) > 1:
            problems.append(f"{name}: the same Idempotency-Key gave {ids} and {made}")
        path = f"/v1/predictions/{made[0]}"
        if '"succeeded"' not in (told := other.get(f"{path}/events").text):
            problems.append(f"{name}: the other API told of {told[-500:]}")
        seen, there_too = asked.get(path).json(), other.get(path).json()
        differing = [k for k in seen.keys() & there_too.keys() if seen[k] != there_too[k]]
        if differing:
            problems.append(f"{name}: the two APIs tell of another {', '.join(sorted(differing))}")
    return problems


def same_of_both(clients: tuple[httpx.Client, ...], path: str, key: str, **body: Any) -> list[str]:
    """The ids that each gives to the same request."""
    found = []
    for client in clients:
        answer = client.post(path, headers={"Idempotency-Key": key}, **body)
        found.append(answer.json().get("id") or answer.text[:300])
    return found


def revoked_key(here: Release, there: Release) -> list[str]:
    """A key that one code made and revoked, to the APIs of both."""
    key = _made_key(here)
    headers = {"Authorization": f"Bearer {key}"}
    urls = [f"{release.url}/v1/records" for release in (here, there)]

    def answers() -> set[int]:
        return {httpx.get(url, headers=headers, trust_env=False).status_code for url in urls}

    problems = [] if answers() == {200} else [f"a key of the {here.name} code: {answers()}"]
    here.command_line("keys", "revoke", key.split("_")[1])
    try:
        waited_for(lambda: answers() == {401}, "revoked, and good", within_s=REVOKED_WITHIN_S)
    except TimeoutError:
        problems.append(f"a key that the {here.name} code revoked: {answers()}")
    return problems


def _made_key(release: Release) -> str:
    scopes = "read,predict,train,admin"
    return release.command_line("keys", "create", "rolling", "--scopes", scopes).strip()


def handed_over(service: Service, fine_tune_id: str) -> list[str]:
    """Whether the attempt after the old trainer's went on from the very update where it stopped."""
    told = _values(
        service,
        "select e.data || jsonb_build_object('of', e.kind) from job_events e "
        "join fine_tunes f on f.job_id = e.job_id where f.id = %s order by e.id",
        fine_tune_id,
    )
    said = [data.get("message", "") for data in told]
    put_back = next((n for n, one in enumerate(said) if one.startswith("put back")), None)
    if put_back is None:
        return ["the old trainer did not put its fine-tune back: more --epochs are needed"]
    kept = [one for one in told[:put_back] if one["of"] == "checkpoint" and one["kind"] == "last"]
    wanted = f"goes on from epoch {kept[-1]['epoch']}, update {kept[-1]['update']}"
    went_on = next((one for one in said[put_back:] if one.startswith("goes on from")), "nothing")
    print(f"the fine-tune that the old trainer began {went_on}")
    return [] if went_on == wanted else [f"{went_on}, which should be: {wanted}"]


def has_checkpoint(service: Service) -> bool:
    query = "select 1 from job_events where kind = 'checkpoint' and data->>'kind' = %s"
    return bool(_values(service, query, "last"))


def is_under_way(service: Service, fine_tune_id: str) -> bool:
    query = (
        "select 1 from jobs j join fine_tunes f on f.job_id = j.id "
        "where f.id = %s and j.finished_at is null"
    )
    return bool(_values(service, query, fine_tune_id))


def _values(service: Service, query: str, *values: str) -> list[Any]:
    with psycopg.connect(service.database_url()) as database:
        return [row[0] for row in database.execute(query.encode(), values)]


def waited_for(holds: Callable[[], bool], otherwise: str, *, within_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {within_s:g} s")
        time.sleep(0.3)


def in_the_end(
    service: Service, accepted: Accepted, releases: tuple[Release, ...], reads: int
) -> list[str]:
    """The invariants, and what each code did."""
    print(
        f"accepted: {len(accepted.records)} records, {len(accepted.predictions)} predictions, "
        f"{len(accepted.fine_tunes)} fine-tunes; {reads} reads; answered otherwise meanwhile: "
        f"{dict(accepted.refused)}"
    )
    problems = checked(service, accepted)
    for release in releases:
        print(f"jobs that the {release.name} code ended: {len(release.logged('job.ended'))}")
        problems += [f"{release.name}, not expected: {o}" for o in release.logged("job.crashed")]
    return problems


def unkept_as_one(problems: list[str]) -> list[str]:
    """Code that puts no models into the store leaves jobs that only its own workers can do."""
    known = [problem for problem in problems if OTHER_RELEASE in problem]
    said = f"{len(known)} predictions failed: their weights are only with the other code"
    return [problem for problem in problems if problem not in known] + [said] * bool(known)


@contextmanager
def tree_of(revision: str, folder: Path) -> Iterator[Path]:
    """The files of a revision, for as long as the block lasts."""
    git("worktree", "add", "--detach", str(folder), revision)
    try:
        yield folder
    finally:
        git("worktree", "remove", "--force", str(folder))


def described(revision: str) -> str:
    return git("log", "-1", "--format=%h (%cs)", revision)


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", default="HEAD~1", help="a git revision; else the one before")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the fine-tune")
    parser.add_argument("--together-s", type=float, default=20.0, help="how long both serve")
    return parser.parse_args()


if __name__ == "__main__":
    main()
