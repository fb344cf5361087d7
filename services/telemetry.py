"""Structured log events, and the Prometheus metrics with their names and labels in one list."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, values
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from services.seats import Seat

_COUNTED = CollectorRegistry()
REQUESTS = Counter(
    "ectopy_http_requests_total",
    "Requests answered",
    ["method", "route", "status"],
    registry=_COUNTED,
)
REQUEST_SECONDS = Histogram(
    "ectopy_http_request_seconds",
    "Time to answer, waiting for results included",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=_COUNTED,
)


@dataclass(frozen=True)
class Figure:
    """What is looked up when somebody asks, and kept by no process."""

    name: str
    what: str
    labels: list[str] = field(default_factory=list)

    def family(self) -> GaugeMetricFamily:
        """An empty one, for this answer."""
        return GaugeMetricFamily(self.name, self.what, labels=self.labels)


JOBS = Figure("ectopy_jobs", "Jobs by queue and status, unfinished ones", ["queue", "status"])
OLDEST_JOB_SECONDS = Figure("ectopy_oldest_queued_job_seconds", "Age of the oldest", ["queue"])
JOBS_ENDED = Figure(
    "ectopy_jobs_ended", "Jobs that have ended, by kind and status", ["kind", "status"]
)
JOBS_FAILED = Figure(
    "ectopy_jobs_failed", "Jobs that have failed, by kind and problem", ["kind", "problem"]
)
JOB_SECONDS = Figure(
    "ectopy_job_seconds",
    "Time of jobs that ended in the last five minutes, by stage (waiting, running)",
    ["kind", "stage", "quantile"],
)
MODELS = Figure(
    "ectopy_model_answers", "Versions that answer, in how many projects", ["model", "version"]
)
WORKER_MEMORY = Figure(
    "ectopy_worker_memory_bytes",
    "Memory of live workers: resident; on their device, used and in all",
    ["queue", "memory"],
)
RECORDS = Figure("ectopy_records", "Records stored")
WORKERS = Figure("ectopy_workers", "Workers that answered lately")
API_PROCESSES = Figure("ectopy_api_processes", "Processes of the API")
API_MEMORY = Figure("ectopy_api_memory_bytes", "Resident memory of the API's processes")

_collector: Collector = _COUNTED


def count_with_others(seat: Seat) -> None:
    """Has this process count requests in files that all of its kind read; before it counts any.

    A file for each seat, not for each process: one that takes the seat of another counts on, so
    that nothing that was counted is lost and there are never more files than seats.
    """
    global _collector
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(seat.folder)  # the library asks for it there
    values.ValueClass = values.MultiProcessValue(lambda: seat.number)  # type: ignore[no-untyped-call]
    _collector = MultiProcessCollector(None, path=str(seat.folder))  # type: ignore[no-untyped-call]


def counted() -> Iterable[Metric]:
    """What was counted, by all processes that share in it."""
    return _collector.collect()


def configure_logging(*, level: str, log_format: str) -> None:
    """One line an event on standard error: JSON for collectors, or text for people.

    What libraries say through Python's own logging comes in the same form.
    """
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    about: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*about, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=_printer,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*about, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _printer(*_: object) -> structlog.PrintLogger:
    """To standard error as it is now: who configured us may have had another, since closed."""
    return structlog.PrintLogger(sys.stderr)


def request_id() -> str | None:
    """Of the request, or the job that a request asked for, which the code runs for now."""
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found
