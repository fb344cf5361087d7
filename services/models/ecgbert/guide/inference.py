"""EcgRecord -> one label a beat by the guide's network: own R peaks, all leads heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.ecg.record import EcgRecord
from services.ecg.resampling import indices_at_rate
from services.errors import UnusableInput
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.answers import beat_probabilities
from services.models.ecgbert.guide.network import GuideClassifier
from services.models.ecgbert.guide.preparation import clean_record
from services.models.ecgbert.guide.spec import FAMILY_SPEC
from services.models.ecgbert.leads import poor_stretches, readable_leads
from services.models.ecgbert.spec import SAMPLING_RATE_HZ
from services.models.results import BeatResult
from services.training.progress import Progress
from services.training.seeds import one_thread


class GuidePredictor:
    """A loaded model. Holds no state between calls, so several threads may call it at once."""

    def __init__(
        self, network: GuideClassifier, clusters: Clusters, labels: tuple[str, ...], *, device: str
    ) -> None:
        self._network = network.to(device).eval()
        self._clusters, self._labels = clusters, labels

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> BeatResult:
        """The beats of a record; none found is a valid, empty answer.

        Raises UnusableInput where the record is too short, no lead is usable, or an option is
        unknown; Cancelled when the owner asks to stop.
        """
        method = _rpeaks_method(options)
        leads = readable_leads(record)
        progress.advance(0.0, stage="finding R peaks")
        clean = clean_record(record, leads, rpeaks=method)
        progress.check_cancelled()
        progress.advance(0.3, stage="reading waves")
        sentences = clean.sentences(self._clusters, self._network.config.granularity)
        with one_thread():
            probabilities = beat_probabilities(self._network, sentences, progress=progress)
        peaks = indices_at_rate(
            clean.peaks,
            from_hz=SAMPLING_RATE_HZ,
            to_hz=record.sampling_rate_hz,
            n_samples=record.n_samples,
        )
        unreadable, notes = poor_stretches(record, leads, peaks)
        progress.advance(1.0, stage="done")
        return BeatResult(
            sampling_rate_hz=record.sampling_rate_hz,
            leads_used=clean.lead_names,
            labels=self._labels,
            sample=peaks,
            label_index=probabilities.argmax(axis=1).astype(np.int64),
            probabilities=probabilities,
            unreadable=unreadable,
            notes=leads.notes + notes,
        )


def _rpeaks_method(options: Mapping[str, Any]) -> str:
    known = FAMILY_SPEC.options
    for name in options:
        if name not in known:
            raise UnusableInput(f"options.{name} is unknown; there are {', '.join(known)}")
    method = options.get("rpeaks", known["rpeaks"].default)
    if method not in known["rpeaks"].choices:
        raise UnusableInput(
            f"options.rpeaks is {method!r}; expected one of {', '.join(known['rpeaks'].choices)}"
        )
    return str(method)
