"""A real Celery worker whose predictor is a fake: `celery -A tests.worker.fake_app:app worker`."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

# the real families load torch, which a worker with a fake predictor need not wait for
_families = types.ModuleType("services.models.families")
_families.FAMILIES = {}  # type: ignore[attr-defined]
sys.modules["services.models.families"] = _families

from tests.fakes import FakePredictor, FakeRiskPredictor  # noqa: E402
from worker import app as real  # noqa: E402
from worker.predictors import LoadedPredictors  # noqa: E402
from worker.runtime import runtime  # noqa: E402

_fake = FakePredictor(Path(os.environ["ECTOPY_TEST_GATE"]))
LoadedPredictors.predictor = (  # type: ignore[method-assign]
    lambda *_, family, **__: FakeRiskPredictor() if family == "deepecg" else _fake  # type: ignore[assignment]
)
real.worker_init.disconnect(real._load)  # its trial record would wait at the gate

app = real.app

__all__ = ["app", "runtime"]
