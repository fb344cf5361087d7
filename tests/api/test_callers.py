"""Every operation of the document, asked by everybody who may not; new ones are covered too.

Requests are the examples of the document, so that a refusal is one of a request that else works.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from api import callers, examples
from api.callers import LOCAL_PATHS, KeyRing, is_open
from api.main import create_app
from services import clock
from services.access import keys
from services.access.caller import ALL_SCOPES, SHARED_PROJECT
from services.db.session import SessionFactory
from services.settings import Settings
from tests.conftest import ROOT, forget_model
from tests.factories import assert_problem, ended, parts, predict, upload
from tests.fakes import EagerDispatcher, ListDispatcher, enter_fake_model
from tests.faults import eventually
from tests.labelled import beats_record
from tests.signals import made_files

OURS, THEIRS = "ours", "theirs"
ELSEWHERE = ("10.1.2.3", 1)
FAR_KEY = "ectopy_abcdefgh_" + "A" * 43
_ID = re.compile(r"\b([a-z]+)_01kb2v3f7m2k9d4q8t6x0z1c5e\b")


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    scopes: list[str]
    command: list[str]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Service:
    """The API with keys configured, and what each kind of caller holds."""

    client: TestClient
    key: Callable[..., str]
    operations: list[Operation] = field(default_factory=list)

    def ask(self, operation: Operation, key: str | None, ids: dict[str, str] | None = None) -> Any:
        """The operation's example, sent with a key, about these resources (prefix: id)."""
        method, address, more = request_of(operation.command, ids or {})
        headers = more.pop("headers") | ({"Authorization": f"Bearer {key}"} if key else {})
        return self.client.request(method, address, headers=headers, **more)


def request_of(command: list[str], ids: dict[str, str]) -> tuple[str, str, dict[str, Any]]:
    """Method, address and body of a curl command, with other ids in it."""
    words = [_ID.sub(lambda match: ids.get(match[1], match[0]), word) for word in command[1:]]
    options = [(word, words[at + 1]) for at, word in enumerate(words[:-1]) if word[0] == "-"]
    (address,) = [word for word in words if word.startswith(examples.BASE_URL)]
    more: dict[str, Any] = {
        "headers": dict(value.split(": ", 1) for option, value in options if option == "-H")
    }
    form = [value.split("=", 1) for option, value in options if option == "-F"]
    if form:
        more["files"] = [(name, _file(value[1:])) for name, value in form if value[0] == "@"]
        more["data"] = {name: value for name, value in form if value[0] != "@"}
    if "-d" in dict(options):
        more["content"] = dict(options)["-d"]
    method = dict(options).get("-X", "POST" if len(more) > 1 else "GET")
    return method, address.removeprefix(examples.BASE_URL), more


def _file(name: str) -> tuple[str, bytes]:
    path = ROOT / name
    return path.name, path.read_bytes() if path.exists() else b"weights"


@pytest.fixture
def service(settings: Settings, sessions: SessionFactory) -> Iterator[Service]:
    def key(scopes: Any = ALL_SCOPES, project_id: str = OURS, **more: Any) -> str:
        with sessions.begin() as session:
            return keys.create(session, name="test", scopes=scopes, project_id=project_id, **more)[
                1
            ]

    with sessions.begin() as session:
        enter_fake_model(session, project_id=SHARED_PROJECT)
    key()
    app = create_app(settings.model_copy(update={"wait_default_s": 0.2}))
    dispatcher = EagerDispatcher(sessions, app.state.ectopy.store)
    app.state.ectopy.dispatcher = dispatcher
    with TestClient(app, client=ELSEWHERE, raise_server_exceptions=False) as client:
        found = Service(client, key)
        document = client.get("/openapi.json").json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                command = re.search("```sh\n(.*)\n```", operation["description"])
                assert command is not None, path
                held = [
                    scope for one in operation.get("security", []) for scope in one.get("key", ())
                ]
                found.operations.append(Operation(method, path, held, shlex.split(command[1])))
        yield found
    dispatcher.wait()
    with sessions.begin() as session:
        for name in ("fake-beats", "fake-risk"):
            forget_model(session, name)


def guarded(service: Service) -> list[Operation]:
    return [operation for operation in service.operations if not is_open(operation.path)]


def resources(service: Service, key: str) -> dict[str, str]:
    """One resource of each kind, by the prefix of its id. A new kind belongs in here."""
    client = TestClient(
        service.client.app, client=ELSEWHERE, headers={"Authorization": f"Bearer {key}"}
    )
    record = upload(client, beats_record("a", 1))["id"]
    prediction = predict(client, record)["id"]
    ended(client, prediction)
    made = client.post(
        "/v1/models/import",
        files=parts({"wcr_afib_5y.pt": b"weights"}),
        headers={"Prefer": "wait=0"},
    )
    others = [upload(client, beats_record(f"p{n}", n))["id"] for n in (2, 3)]
    body = {"name": "ward 3", "task": "beats", "record_ids": [record, *others]}
    dataset = client.post("/v1/datasets", json=body).json()["id"]
    service.client.app.state.ectopy.dispatcher = ListDispatcher()  # type: ignore[attr-defined]
    asked = {"task": "beats", "dataset_id": dataset, "base": "ecgbert-beats"}
    fine_tune = client.post("/v1/fine-tunes", json=asked).json()["id"]
    client.post(f"/v1/fine-tunes/{fine_tune}/cancel")  # else its events would not end
    imported = made.json()["id"]
    return {
        "rec": record,
        "pred": prediction,
        "imp": imported,
        "ds": dataset,
        "ft": fine_tune,
    }


def test_every_operation_says_which_scope_it_needs(service: Service) -> None:
    assert len(service.operations) > 25
    for operation in service.operations:
        assert bool(operation.scopes) != is_open(operation.path), operation.name


def test_without_a_good_key_nothing_is_answered(service: Service) -> None:
    expired = service.key(expires_at=clock.now() - timedelta(seconds=1))
    for operation in guarded(service):
        for bad in (None, FAR_KEY, expired, "nonsense"):
            answer = service.ask(operation, bad)
            assert_problem(answer, 401, "key")
            assert answer.headers["www-authenticate"].startswith("Bearer"), operation.name


def test_a_revoked_key_is_refused_at_once(service: Service, sessions: SessionFactory) -> None:
    text = service.key()
    operation = next(one for one in guarded(service) if one.name == "get /v1/records")
    assert service.ask(operation, text).status_code == 200
    with sessions.begin() as session:
        keys.revoke(session, text.split("_")[1])
    # told by the database, in milliseconds
    eventually(lambda: service.ask(operation, text).status_code == 401, within_s=2.0)
    assert_problem(service.ask(operation, text), 401)


def test_the_first_key_shuts_the_door_at_once(settings: Settings, sessions: SessionFactory) -> None:
    """That there is none is remembered; the database tells of the one that is made."""
    app = create_app(settings)
    with TestClient(app, client=("127.0.0.1", 1)) as client:
        eventually(lambda: app.state.ectopy.waiter.hears, within_s=5.0)
        assert client.get("/v1/records").status_code == 200
        assert app.state.ectopy.key_ring.known_to_be_configured() is False
        with sessions.begin() as session:
            keys.create(session, name="first", scopes=["read"])
        eventually(lambda: client.get("/v1/records").status_code == 401, within_s=2.0)


def test_that_there_is_no_key_is_remembered_shortly_where_none_would_be_heard(
    sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, now = True, 1000.0
    monkeypatch.setattr(callers.time, "monotonic", lambda: now)
    ring = KeyRing(sessions, is_told=lambda: told)
    assert ring.known_to_be_configured() is None
    assert not ring.are_configured()
    now += callers.REMEMBERED_S - 0.1
    assert ring.known_to_be_configured() is False
    told = False
    assert ring.known_to_be_configured() is None
    assert not ring.are_configured()
    now += callers.LOOK_AGAIN_S - 0.1
    assert ring.known_to_be_configured() is False
    ring.forget()
    assert ring.known_to_be_configured() is None


def test_a_key_that_is_made_while_one_is_looked_for_is_not_missed(
    sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(sessions, is_told=lambda: True)
    looked = keys.are_configured

    def overtaken(session: Session) -> bool:
        found = looked(session)
        with sessions.begin() as other:
            keys.create(other, name="first", scopes=["read"])
        ring.forget()  # as when the notification comes before the answer is used
        return found

    monkeypatch.setattr(keys, "are_configured", overtaken)
    assert not ring.are_configured()  # as it was when it was asked
    monkeypatch.undo()
    assert ring.known_to_be_configured() is None
    assert ring.are_configured()


def test_a_key_is_not_remembered_where_its_end_would_not_be_heard(
    sessions: SessionFactory,
) -> None:
    told = True
    ring = KeyRing(sessions, is_told=lambda: told)
    with sessions.begin() as session:
        _, text = keys.create(session, name="remembered", scopes=["read"])
    caller = ring.caller_of(text)
    assert ring.known_caller_of(text) == caller
    told = False
    assert ring.known_caller_of(text) is None
    told = True
    ring.forget()
    assert ring.known_caller_of(text) is None


def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(
    sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(sessions, is_told=lambda: True)
    with sessions.begin() as session:
        _, text = keys.create(session, name="raced", scopes=["read"])
    found = keys.good_key

    def overtaken(session: Session, text: str) -> keys.GoodKey:
        key = found(session, text)
        ring.forget()  # as when the notification comes before the answer is used
        return key

    monkeypatch.setattr(keys, "good_key", overtaken)
    ring.caller_of(text)
    assert ring.known_caller_of(text) is None


def test_a_remembered_key_ends_when_it_expires(
    sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(sessions, is_told=lambda: True)
    soon = clock.now() + timedelta(seconds=60)
    with sessions.begin() as session:
        _, text = keys.create(session, name="short", scopes=["read"], expires_at=soon)
    ring.caller_of(text)
    assert ring.known_caller_of(text) is not None
    monkeypatch.setattr(clock, "now", lambda: soon)
    assert ring.known_caller_of(text) is None


def test_a_key_without_the_scope_is_told_which_is_missing(service: Service) -> None:
    for operation in guarded(service):
        others = ALL_SCOPES - set(operation.scopes)
        problem = assert_problem(service.ask(operation, service.key(others)), 403)
        for scope in operation.scopes:
            assert scope in problem["detail"], operation.name


def test_what_is_of_one_project_is_not_there_for_another(service: Service) -> None:
    ours, theirs = service.key(), service.key(project_id=THEIRS)
    known = resources(service, ours)
    for operation in guarded(service):
        needed = set(_ID.findall(" ".join(operation.command)))
        assert needed <= set(known), f"{operation.name}: teach `resources` to make one"
        answer = service.ask(operation, theirs, known)
        if needed:
            assert_problem(answer, 404)
        # who asked for ours finds that it did, in its own trail
        elif operation.path != "/v1/audit" and "json" in answer.headers.get("content-type", ""):
            assert not [one for one in known.values() if one in answer.text], operation.name


def test_the_same_requests_find_something_with_the_key_of_their_project(service: Service) -> None:
    ours = service.key()
    known = resources(service, ours)
    for operation in guarded(service):
        if operation.method != "delete" and not operation.path.endswith("/resume"):
            answer = service.ask(operation, ours, known)
            assert answer.status_code not in (401, 403, 404), (operation.name, answer.text)


def test_the_same_bytes_are_a_record_of_each_project(service: Service) -> None:
    found = []
    for project in (OURS, THEIRS):
        headers = {"Authorization": f"Bearer {service.key(project_id=project)}"}
        for expected in (201, 200):
            answer = service.client.post("/v1/records", files=parts(made_files()), headers=headers)
            assert answer.status_code == expected
        found.append(answer.json()["id"])
    assert found[0] != found[1]


def test_an_idempotency_key_of_one_project_means_nothing_in_another(service: Service) -> None:
    found = set()
    for project in (OURS, THEIRS):
        headers = {
            "Authorization": f"Bearer {service.key(project_id=project)}",
            "Idempotency-Key": "same",
        }
        answer = service.client.post("/v1/records", files=parts(made_files()), headers=headers)
        assert answer.status_code == 201
        found.add(answer.json()["id"])
    assert len(found) == 2


def test_one_project_s_promotion_leaves_the_others_alone(
    service: Service, sessions: SessionFactory
) -> None:
    with sessions.begin() as session:
        enter_fake_model(session, project_id=SHARED_PROJECT)  # version 2, which answers all
    theirs = {"Authorization": f"Bearer {service.key(project_id=THEIRS)}"}
    ours = {"Authorization": f"Bearer {service.key()}"}
    base = "/v1/models/fake-beats/versions"
    service.client.post(f"{base}/1/promote", headers=ours)
    assert service.client.get(f"{base}/1", headers=ours).json()["promoted"]
    assert service.client.get(f"{base}/2", headers=theirs).json()["promoted"]
    assert service.client.post("/v1/models/fake-beats/rollback", headers=ours).json() == {
        "name": "fake-beats",
        "task": "beats",
        "promoted_version": 2,
        "versions": 2,
    }


def test_the_page_and_the_health_checks_need_no_key(service: Service) -> None:
    for path in ("/", "/web/app.js", "/docs", "/openapi.json", "/healthz"):
        assert service.client.get(path).status_code == 200, path


@pytest.mark.parametrize("path", sorted(LOCAL_PATHS))
def test_a_watcher_on_this_machine_needs_no_key(service: Service, path: str) -> None:
    nearby = TestClient(service.client.app, client=("127.0.0.1", 1))
    assert nearby.get(path).status_code == 200
    assert_problem(nearby.get("/v1/records"), 401)
    assert_problem(service.client.get(path), 401)


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Basic dXNlcjpwYXNz", "bearer  ", "Token x", "Bearer " + "x" * 5000],
)
def test_a_header_that_holds_no_key_is_refused(service: Service, sent: str) -> None:
    answer = service.client.get("/v1/records", headers={"Authorization": sent})
    assert_problem(answer, 401)


def test_nothing_is_read_of_a_body_that_comes_without_a_key(service: Service) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": "/v1/records", "headers": headers}
    scope |= {"client": ELSEWHERE, "query_string": b"", "app": service.client.app}
    asyncio.run(service.client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 401
