"""Loaded model versions: each is loaded once and kept; the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict

from services.errors import Unavailable
from services.models.families import FAMILIES
from services.models.interface import Predictor
from services.registry.service import folder_of


class LoadedPredictors:
    """Safe for several threads; two that want the same version wait for one load."""

    def __init__(self, *, device: str, capacity: int) -> None:
        self._device, self._capacity = device, capacity
        self._loaded: OrderedDict[str, Predictor] = OrderedDict()
        self._lock = threading.Lock()

    def predictor(self, *, family: str, location: str, sha256: str) -> Predictor:
        """The predictor of these weights."""
        with self._lock:
            found = self._loaded.get(sha256)
            if found is None:
                if family not in FAMILIES:
                    raise Unavailable(f"this worker does not know the model family {family}")
                found = FAMILIES[family].load(folder_of(location, sha256), device=self._device)
                self._loaded[sha256] = found
            self._loaded.move_to_end(sha256)
            while len(self._loaded) > self._capacity:
                self._loaded.popitem(last=False)
            return found
