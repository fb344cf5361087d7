"""Loaded model versions: each is loaded once and kept; the least recently used goes first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import structlog

from services.ecg.record import EcgRecord
from services.errors import Unavailable
from services.models.families import FAMILIES
from services.models.interface import Predictor
from services.models.results import BeatResult, RiskResult
from services.registry.files import version_folder
from services.storage.base import Store
from services.training.progress import Progress

log = structlog.get_logger()

# how long others get to end their work on a device whose memory did not suffice
MEMORY_PAUSES_S = (1.0, 5.0)


class LoadedPredictors:
    """Safe for several threads; two that want the same version wait for one load.

    A version is loaded beside those that are there, and nobody waits who wants one of them. Work
    that began with a version keeps it, also when it is dropped from here.
    """

    def __init__(self, store: Store, *, device: str, capacity: int) -> None:
        self._store, self._device, self._capacity = store, device, capacity
        self._held: OrderedDict[tuple[str, str], Future[Predictor]] = OrderedDict()
        self._lock = threading.Lock()

    def predictor(self, *, family: str, location: str, sha256: str) -> Predictor:
        """The predictor of these weights."""
        key = location, sha256  # the same weights may have another card elsewhere
        with self._lock:
            held = self._held.get(key)
            loads = held is None
            if held is None:
                held = self._held[key] = Future()
            self._held.move_to_end(key)
        if loads:
            self._load(key, family, held)
        return held.result()

    def _load(self, key: tuple[str, str], family: str, held: Future[Predictor]) -> None:
        """Keeps the promise that others may wait for; what failed is tried again when asked."""
        try:
            held.set_result(self._loaded(key, family))
        except BaseException as problem:  # noqa: BLE001 - raised to everyone who waits for it
            with self._lock:
                del self._held[key]
            held.set_exception(problem)
            return
        with self._lock:
            self._held.move_to_end(key)
            there = [key for key, each in self._held.items() if each.done()]
            for oldest in there[: max(len(there) - self._capacity, 0)]:
                del self._held[oldest]

    def _loaded(self, key: tuple[str, str], family: str) -> Predictor:
        if family not in FAMILIES:
            raise Unavailable(f"this worker does not know the model family {family}")
        location, sha256 = key
        with version_folder(self._store, location, sha256) as folder:
            return PatientPredictor(FAMILIES[family].load(folder, device=self._device))


class PatientPredictor:
    """Tries again where the device's memory did not suffice: what else ran on it will have ended.

    Implements Predictor. Unavailable when it still does not suffice: the job has failed, its worker
    has given the memory back and goes on.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> BeatResult | RiskResult:
        import torch  # which the predictor has loaded; a worker whose predictor is a fake has not

        for pause_s in (*MEMORY_PAUSES_S, None):
            try:
                return self._predictor.predict(record, options=options, progress=progress)
            except torch.OutOfMemoryError:
                log.warning("device.memory_full", pause_s=pause_s)
            # outside of the handler, whose traceback holds the tensors
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if pause_s is not None:
                progress.check_cancelled()
                time.sleep(pause_s)
        raise Unavailable(
            "the memory of the worker's device does not suffice for this record now; ask again "
            "when less is under way, or run fewer at once (ECTOPY_INFERENCE_THREADS)"
        )
