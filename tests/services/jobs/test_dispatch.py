"""Messages to workers over a real broker, and over one that is away."""

from __future__ import annotations

import json
import time

import pytest
import redis
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from services.jobs.dispatch import PREDICT_QUEUE, CeleryDispatcher, send_again
from services.jobs.row import JobRow
from services.settings import Settings
from tests.factories import queued_job
from tests.fakes import ListDispatcher
from tests.faults import TcpProxy


@pytest.fixture
def proxy(settings: Settings) -> TcpProxy:
    url = make_url(settings.broker_url)
    return TcpProxy(url.host or "", url.port or 0)


def through(settings: Settings, proxy: TcpProxy) -> CeleryDispatcher:
    url = make_url(settings.broker_url).set(host="127.0.0.1", port=proxy.port)
    return CeleryDispatcher(url.render_as_string(hide_password=False))


def test_a_message_carries_the_job_id_to_its_queue(session: Session, settings: Settings) -> None:
    job = queued_job(session)
    dispatcher = CeleryDispatcher(settings.broker)
    assert dispatcher.backlog(PREDICT_QUEUE) == 0
    assert dispatcher.send(job)
    assert dispatcher.backlog(PREDICT_QUEUE) == 1
    message = json.loads(redis.Redis.from_url(settings.broker).lpop(PREDICT_QUEUE))  # type: ignore[arg-type]
    assert message["headers"]["task"] == job.kind
    assert job.id in message["headers"]["argsrepr"]


def test_asking_how_many_wait_makes_no_new_connection_each_time(settings: Settings) -> None:
    dispatcher = CeleryDispatcher(settings.broker)
    broker = redis.Redis.from_url(settings.broker)
    assert dispatcher.backlog(PREDICT_QUEUE) == 0
    before = broker.info("stats")["total_connections_received"]  # type: ignore[index]
    for _ in range(5):
        assert dispatcher.backlog(PREDICT_QUEUE) == 0
    assert broker.info("stats")["total_connections_received"] == before  # type: ignore[index]


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_broker_that_is_away_is_no_error_and_soon_noticed(
    session: Session, settings: Settings, proxy: TcpProxy, fault: str
) -> None:
    job = queued_job(session)
    with proxy:
        dispatcher = through(settings, proxy)
        assert dispatcher.send(job)
        getattr(proxy, fault)()
        started = time.monotonic()
        assert not dispatcher.send(job)
        assert dispatcher.backlog(PREDICT_QUEUE) is None
        assert time.monotonic() - started < 15
        proxy.restore()
        sent = [dispatcher.send(job) for _ in range(3)]
        assert sent[-1], "it is used again as soon as it is back"
        assert [dispatcher.backlog(PREDICT_QUEUE) for _ in range(3)][-1] is not None


def test_sending_again_is_noted_only_when_it_worked(session: Session) -> None:
    job, dispatcher = queued_job(session), ListDispatcher()
    dispatcher.away = True
    first = job.sent_at
    send_again(session, dispatcher, job)
    assert fresh(session, job).sent_at == first
    dispatcher.away = False
    send_again(session, dispatcher, job)
    assert dispatcher.sent == [job.id]
    assert fresh(session, job).sent_at != first


def fresh(session: Session, job: JobRow) -> JobRow:
    session.refresh(job)
    return job
