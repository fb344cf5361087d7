"""One call a record, spread over processes."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from services.training.progress import Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Workforce:
    """Processes (0: one a processor), and who listens."""

    jobs: int
    progress: Progress


def each(
    function: Callable[..., T], arguments: Sequence[tuple[Any, ...]], run: Workforce, *, stage: str
) -> list[T]:
    """`function(*arguments[i])` for every i, in their order.

    With one job in this process. The first error goes through. function: of a module, so that
    another process finds it.
    """
    jobs = min(run.jobs or os.cpu_count() or 1, len(arguments))
    done: list[T] = []
    for result in _results(function, arguments, jobs):
        run.progress.check_cancelled()
        done.append(result)
        run.progress.advance(len(done) / len(arguments), stage=stage)
    return done


def _results(
    function: Callable[..., T], arguments: Sequence[tuple[Any, ...]], jobs: int
) -> Iterable[T]:
    if jobs <= 1:
        return (function(*values) for values in arguments)
    # joblib's own processes start without running the caller's script again
    joblib = importlib.import_module("joblib")
    pool = joblib.Parallel(n_jobs=jobs, backend="loky", return_as="generator")
    results: Iterable[T] = pool(joblib.delayed(function)(*values) for values in arguments)
    return results
