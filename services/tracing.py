"""Traces through API, queue and worker (OpenTelemetry), where a setting says who collects them.

The API begins a trace for each request (FastAPI does), or goes on with its client's. A job's row
keeps the place in it (W3C Trace Context, https://www.w3.org/TR/trace-context/), so that waiting in
the queue and work in another process are parts of the same trace. Without a collector nothing is
recorded. Spans hold ids, kinds and times, nothing of a patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from services.errors import EctopyError
from services.version import code_version

PARENT = "traceparent"
_NANOSECONDS = 1_000_000_000


def configure_tracing(endpoint: str, *, part: str) -> None:
    """Sends spans to an OTLP collector (HTTP); nothing where there is none.

    endpoint: such as http://127.0.0.1:4318. part: api, worker ..., by which a trace is read.
    Raises EctopyError where the extra `traces` is not installed.
    """
    if not endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise EctopyError(
            "ECTOPY_TRACES_ENDPOINT is set, and the extra is missing: pip install 'ectopy[traces]'"
        ) from error
    resource = Resource.create(
        {"service.name": f"ectopy-{part}", "service.version": code_version()}
    )
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def parent_of_now() -> str | None:
    """The place in the trace that runs here, for a job's row; None outside of any."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get(PARENT)


@contextmanager
def job_span(
    kind: str, job_id: str, *, parent: str | None, queued_at_s: float | None = None
) -> Iterator[None]:
    """The work of a job, below the request that asked for it; how long it waited as a span beside.

    queued_at_s: when it was asked for, seconds since 1970.
    """
    tracer = trace.get_tracer("ectopy")
    context = propagate.extract({PARENT: parent}) if parent else None
    known = {"ectopy.job.kind": kind, "ectopy.job.id": job_id}
    if queued_at_s is not None:
        began = int(queued_at_s * _NANOSECONDS)
        tracer.start_span("queued", context, attributes=known, start_time=began).end()
    with tracer.start_as_current_span(
        kind, context, SpanKind.CONSUMER, attributes=known, record_exception=False
    ):
        yield


@contextmanager
def step(name: str) -> Iterator[None]:
    """A part of the work that runs here."""
    with trace.get_tracer("ectopy").start_as_current_span(name, record_exception=False):
        yield


def ended(status: str, *, badly: bool) -> None:
    """How the work of the span that runs here has ended."""
    span = trace.get_current_span()
    span.set_attribute("ectopy.job.status", status)
    if badly:
        span.set_status(Status(StatusCode.ERROR, status))
