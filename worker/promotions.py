"""Loads what is promoted before anybody asks for it, beside what answered until then."""

from __future__ import annotations

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.errors import EctopyError
from services.registry import service as registry
from services.registry.row import ModelVersionRow
from worker.runtime import Runtime

log = structlog.get_logger()

ROUND_S = 1.0


class Promotions(threading.Thread):
    """One thread beside the tasks that follows which versions answer."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(name="promotions", daemon=True)
        self._runtime = runtime
        self._ended = threading.Event()
        self._seen: set[tuple[str, str]] = set()

    def run(self) -> None:
        while not self._ended.wait(ROUND_S):
            try:
                self.round()
            except SQLAlchemyError as error:
                log.warning("promotions.failed", reason=type(error).__name__)

    def stop(self) -> None:
        self._ended.set()
        self.join(timeout=5)

    def round(self) -> None:
        """Loads what answers since the last round, as many as are kept in memory."""
        with self._runtime.single_statements() as session:
            answering = registry.all_answering(session)
        kept = answering[: self._runtime.settings.models_in_memory]
        for version in reversed(kept):
            if (version.location, version.sha256) not in self._seen:
                self._load(version)
        self._seen = {(version.location, version.sha256) for version in kept}

    def _load(self, version: ModelVersionRow) -> None:
        """One that cannot be loaded is left: whoever asks for it is told why."""
        reference = f"{version.name}@{version.version}"
        try:
            self._runtime.predictors.predictor(
                family=version.card["family"], location=version.location, sha256=version.sha256
            )
        except EctopyError as problem:
            log.warning("promotions.not_loaded", model=reference, reason=problem.detail)
        else:
            log.info("promotions.loaded", model=reference)
