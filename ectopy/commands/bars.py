"""Progress on a terminal, for whatever takes long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class BarProgress:
    """services.training.progress.Progress as a bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._task = bar, bar.add_task("", total=1.0)

    def advance(self, fraction: float, *, stage: str = "") -> None:
        self._bar.update(self._task, completed=fraction, description=stage)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "checkpoint":  # one an epoch, which is told of anyway
            return
        told = ", ".join(f"{name} {_short(value)}" for name, value in data.items())
        self._bar.console.print(f"{kind}: {told}", highlight=False)

    def check_cancelled(self) -> None:
        return None


@contextmanager
def progress_bar() -> Iterator[BarProgress]:
    """A bar on standard error that goes when the work is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield BarProgress(bar)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
