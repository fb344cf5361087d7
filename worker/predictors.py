"""Loaded model versions: each is loaded once and kept; the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict

from services.errors import Unavailable
from services.models.families import FAMILIES
from services.models.interface import Predictor
from services.registry.files import version_folder
from services.storage.base import Store


class LoadedPredictors:
    """Safe for several threads; two that want the same version wait for one load."""

    def __init__(self, store: Store, *, device: str, capacity: int) -> None:
        self._store, self._device, self._capacity = store, device, capacity
        self._loaded: OrderedDict[tuple[str, str], Predictor] = OrderedDict()
        self._lock = threading.Lock()

    def predictor(self, *, family: str, location: str, sha256: str) -> Predictor:
        """The predictor of these weights."""
        key = location, sha256  # the same weights may have another card elsewhere
        with self._lock:
            found = self._loaded.get(key)
            if found is None:
                if family not in FAMILIES:
                    raise Unavailable(f"this worker does not know the model family {family}")
                with version_folder(self._store, location, sha256) as folder:
                    found = FAMILIES[family].load(folder, device=self._device)
                self._loaded[key] = found
            self._loaded.move_to_end(key)
            while len(self._loaded) > self._capacity:
                self._loaded.popitem(last=False)
            return found
