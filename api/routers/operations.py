"""Is it alive, is it ready, what does it do."""

from __future__ import annotations

from typing import Any

import redis
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api import measurements
from api.answers import json_answer
from api.dependencies import Administers, Reads, State
from api.errors import problem_response
from api.schemas.operations import Health, Readiness, SystemOut
from api.schemas.problems import problems
from api.state import ApiState
from services.db.session import DATABASE_AWAY, SessionFactory
from services.errors import Unavailable
from services.jobs import presence
from services.jobs.dispatch import PREDICT_QUEUE
from services.version import code_version

router = APIRouter(tags=["operations"])

BROKER_TIMEOUT_S = 2.0


@router.get("/healthz", response_model=Health, summary="The process lives")
async def healthz() -> Response:
    return json_answer({"status": "ok"})


@router.get(
    "/readyz",
    response_model=Readiness,
    responses=problems(),
    summary="Database, broker and at least one worker answer",
)
def readyz(state: State) -> Response:
    checks = {"database": _database(state.reads), "broker": _broker(state)}
    checks["worker"] = (
        _worker(state.reads) if checks["database"] == "ok" else "unknown: no database"
    )
    missing = [f"{part}: {answer}" for part, answer in checks.items() if answer != "ok"]
    if missing:
        return problem_response(Unavailable("; ".join(missing)).problem() | {"checks": checks})
    return json_answer({"status": "ready", "checks": checks})


@router.get(
    "/metrics",
    response_class=Response,
    responses=problems(beside={200: {"content": {"text/plain": {}}}}),
    summary="Metrics for Prometheus",
)
def metrics(_: Administers, state: State) -> Response:
    with state.reads() as session:
        found = measurements.measured(session)
    return Response(generate_latest(found), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/v1/system",
    response_model=SystemOut,
    responses=problems(),
    summary="Version, workers, devices, queues",
)
def system(_: Reads, state: State) -> Response:
    with state.reads() as session:
        alive, queues = presence.alive(session), measurements.queue_lengths(session)
    workers = [
        {
            "name": worker.name,
            "queues": worker.queues,
            "device": worker.device,
            "version": worker.version,
            "started_at": worker.started_at,
            "seen_at": worker.seen_at,
        }
        for worker in alive
    ]
    return json_answer(
        {
            "version": code_version(),
            "workers": workers,
            "queues": queues,
            "limits": {
                "max_upload_bytes": state.settings.max_upload_bytes,
                "max_record_values": state.settings.max_record_values,
                "max_leads": state.settings.max_leads,
                "min_record_s": state.settings.min_record_s,
            },
        }
    )


def _database(sessions: SessionFactory) -> str:
    try:
        with sessions() as session:
            session.connection()
    except DATABASE_AWAY:
        return "does not answer"
    return "ok"


def _worker(sessions: SessionFactory) -> str:
    try:
        with sessions() as session:
            predicts = any(PREDICT_QUEUE in each.queues for each in presence.alive(session))
            return "ok" if predicts else "none was heard of lately"
    except DATABASE_AWAY:
        return "unknown: no database"


def _broker(state: ApiState) -> str:
    client: Any = redis.Redis.from_url(
        state.settings.broker,
        socket_timeout=BROKER_TIMEOUT_S,
        socket_connect_timeout=BROKER_TIMEOUT_S,
    )
    try:
        client.ping()
    except (redis.RedisError, OSError):
        return "does not answer"
    finally:
        client.close()
    return "ok"
