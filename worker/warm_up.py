"""Loads the models that answer and runs each once, so that no first request is slow."""

from __future__ import annotations

import numpy as np
import structlog

from services.access.caller import DEFAULT_PROJECT
from services.ecg.leads import STANDARD_12
from services.ecg.record import EcgRecord
from services.errors import EctopyError
from services.models.catalog import FAMILY_SPECS, TASKS
from services.registry import service as registry
from services.training.progress import NoProgress
from worker.runtime import Runtime

log = structlog.get_logger()

RATE_HZ = 360.0


def warm_up(runtime: Runtime) -> None:
    """A model that is missing, or cannot read the trial record, is no reason not to start."""
    for task in TASKS:
        try:
            with runtime.sessions() as session:
                version = registry.resolve(session, DEFAULT_PROJECT, task, None)
            predictor = runtime.predictors.predictor(
                family=version.card["family"], location=version.location, sha256=version.sha256
            )
            options = FAMILY_SPECS[version.card["family"]].options
            defaults = {name: option.default for name, option in options.items()}
            predictor.predict(trial_record(), options=defaults, progress=NoProgress())
        except EctopyError as problem:
            log.info("warm_up.skipped", task=task, reason=problem.detail)


def trial_record() -> EcgRecord:
    """Sixty seconds of narrow bumps at 75 a minute on twelve leads: enough to pass every stage."""
    time_s = np.arange(int(60 * RATE_HZ)) / RATE_HZ
    bumps = np.exp(-(((time_s + 0.4) % 0.8 - 0.4) ** 2) / (2 * 0.015**2))
    gains = np.linspace(1.0, 0.5, len(STANDARD_12))[:, None]
    noise = np.random.default_rng(0).normal(0, 0.01, (len(STANDARD_12), len(time_s)))
    signal = (gains * bumps + noise).astype(np.float32)
    return EcgRecord(signal=signal, lead_names=STANDARD_12, sampling_rate_hz=RATE_HZ)
