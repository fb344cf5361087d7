"""Structured log events, and the Prometheus metrics with their names and labels in one list."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("ectopy_http_requests_total", "Requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "ectopy_http_request_seconds",
    "Time to answer, waiting for results included",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
JOBS = Gauge("ectopy_jobs", "Jobs by queue and status, unfinished ones", ["queue", "status"])
OLDEST_JOB_SECONDS = Gauge("ectopy_oldest_queued_job_seconds", "Age of the oldest", ["queue"])
JOBS_ENDED = Gauge(
    "ectopy_jobs_ended", "Jobs that have ended, by kind and status", ["kind", "status"]
)
JOBS_FAILED = Gauge(
    "ectopy_jobs_failed", "Jobs that have failed, by kind and problem", ["kind", "problem"]
)
JOB_SECONDS = Gauge(
    "ectopy_job_seconds",
    "Time of jobs that ended in the last five minutes, by stage (waiting, running)",
    ["kind", "stage", "quantile"],
)
MODELS = Gauge(
    "ectopy_model_answers", "Versions that answer, in how many projects", ["model", "version"]
)
WORKER_MEMORY = Gauge(
    "ectopy_worker_memory_bytes",
    "Memory of live workers: resident; on their device, used and in all",
    ["queue", "memory"],
)
RECORDS = Gauge("ectopy_records", "Records stored")
WORKERS = Gauge("ectopy_workers", "Workers that answered lately")


def configure_logging(*, level: str, log_format: str) -> None:
    """One line an event on standard error: JSON for collectors, or text for people."""
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=_printer,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn.access").addFilter(_not_a_health_check)


def _printer(*_: object) -> structlog.PrintLogger:
    """To standard error as it is now: who configured us may have had another, since closed."""
    return structlog.PrintLogger(sys.stderr)


def request_id() -> str | None:
    """Of the request, or the job that a request asked for, which the code runs for now."""
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


def _not_a_health_check(line: logging.LogRecord) -> bool:
    """They come every few seconds, and would be all there is to see."""
    return "/healthz" not in line.getMessage()
