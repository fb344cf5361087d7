"""One trace from the request through the queue to the work, and nothing of a patient in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import select

from services import tracing
from services.db.session import SessionFactory
from services.errors import EctopyError, UnusableInput
from services.jobs import lifecycle
from services.jobs.execution import JobProgress, execute
from services.jobs.lifecycle import JobClaim
from services.jobs.row import JobRow
from tests.factories import predict, upload
from tests.services.jobs.test_execution import Work
from tests.signals import made_files

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """A process has one provider, which cannot be taken back."""
    made = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    trace.set_tracer_provider(provider)
    return made


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    exporter.clear()
    yield exporter
    exporter.clear()


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in spans.get_finished_spans() if span.name == name]
    return found


def claimed(sessions: SessionFactory) -> JobClaim:
    with sessions() as session:
        job_id = session.scalars(select(JobRow.id)).one()
        claim = lifecycle.claim(session, job_id, worker="w", lease_s=30)
        session.commit()
    assert claim is not None
    return claim


@pytest.mark.usefixtures("fake_model")
def test_a_prediction_is_one_trace_from_the_client_to_the_worker(
    spans: InMemorySpanExporter, api: TestClient, sessions: SessionFactory
) -> None:
    record = upload(api, made_files())
    spans.clear()
    body = {"record_id": record["id"], "task": "beats"}
    answer = api.post("/v1/predictions", json=body, headers={"traceparent": SENT})
    assert answer.status_code == 202
    request = named(spans, "POST /v1/predictions")

    def work(_: JobProgress) -> str:
        with tracing.step("predict"):
            return "beats"

    execute(sessions, claimed(sessions), Work(work), threading.Event())
    queued, job, step = (named(spans, name) for name in ("queued", "predictions.run", "predict"))
    assert {format(one.context.trace_id, "032x") for one in (request, queued, job, step)} == {TRACE}
    assert queued.parent.span_id == job.parent.span_id == request.context.span_id
    assert step.parent.span_id == job.context.span_id
    assert job.attributes["ectopy.job.status"] == "succeeded"
    assert queued.start_time <= queued.end_time


@pytest.mark.usefixtures("fake_model")
def test_a_failure_is_seen_and_its_words_are_not(
    spans: InMemorySpanExporter, api: TestClient, sessions: SessionFactory
) -> None:
    predict(api, upload(api, made_files())["id"])

    def work(_: JobProgress) -> None:
        raise UnusableInput("Jane Doe has no beats")

    execute(sessions, claimed(sessions), Work(work), threading.Event())
    job = named(spans, "predictions.run")
    assert job.status.status_code is trace.StatusCode.ERROR
    assert "Jane" not in "".join(span.to_json() for span in spans.get_finished_spans())


def test_a_collector_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    tracing.configure_tracing("", part="api")
    monkeypatch.setitem(
        __import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None
    )
    with pytest.raises(EctopyError, match="extra"):
        tracing.configure_tracing("http://127.0.0.1:4318", part="api")
