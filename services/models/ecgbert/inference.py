"""EcgRecord -> one label a beat, with probabilities.

How the labels of tokens become a beat's: each beat has its own window of tokens (its P, QRS, T and
the background on either side, on one or two leads, between CLS and SEP). The network gives class
logits at every position of the window; their mean over the window, calibrated on patients that
training had not seen, goes through a softmax, and the most probable class is the beat's label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.ecg.record import EcgRecord, IntArray
from services.errors import UnusableInput
from services.models.cpu_lanes import cpu_lanes, on_lanes
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.leads import ChosenLeads, poor_stretches, readable_leads
from services.models.ecgbert.network import BeatNetwork
from services.models.ecgbert.preparation import BeatInputs, beat_inputs, detected_peaks
from services.models.ecgbert.spec import CHUNK_TOKENS, FAMILY_SPEC, WAVES_PER_BEAT
from services.models.results import BeatResult
from services.training.progress import Progress

Chunk = tuple[list[int], NDArray[np.int64]]


class BeatPredictor:
    """A loaded model. Holds no state between calls, so several threads may call it at once."""

    def __init__(
        self, network: BeatNetwork, clusters: Clusters, labels: tuple[str, ...], *, device: str
    ) -> None:
        self._network = network.to(device).eval()
        self._clusters, self._labels, self._device = clusters, labels, device

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
        peaks = detected_peaks(record, leads, method=method)
        progress.check_cancelled()
        return self._labelled(record, leads, peaks, progress)

    def predict_at(self, record: EcgRecord, r_peaks: IntArray, *, progress: Progress) -> BeatResult:
        """Labels of beats whose R peaks are known: (n_beats,) ascending, in the record's rate.

        Raises UnusableInput where the record is too short or no lead is usable.
        """
        return self._labelled(record, readable_leads(record), r_peaks, progress)

    def _labelled(
        self, record: EcgRecord, leads: ChosenLeads, peaks: IntArray, progress: Progress
    ) -> BeatResult:
        probabilities = np.empty((0, len(self._labels)), dtype=np.float32)
        # beside what one processor makes of the beats: neither needs the other
        quality = cpu_lanes().submit(poor_stretches, record, leads, peaks)
        unusable = np.zeros(len(peaks), dtype=bool)
        if len(peaks):
            inputs = beat_inputs(record, leads, peaks, self._clusters, progress=progress)
            probabilities = self.probabilities(inputs, progress=progress)
            unusable |= ~inputs.usable.any(axis=1)
        unreadable, notes = quality.result()
        unreadable |= unusable
        progress.advance(1.0, stage="done")
        return BeatResult(
            sampling_rate_hz=record.sampling_rate_hz,
            leads_used=tuple(record.lead_names[lead] for lead in leads.rows),
            labels=self._labels,
            sample=peaks,
            label_index=probabilities.argmax(axis=1).astype(np.int64),
            probabilities=probabilities,
            unreadable=unreadable,
            notes=leads.notes + notes,
        )

    def probabilities(self, inputs: BeatInputs, *, progress: Progress) -> NDArray[np.float32]:
        """Calibrated probabilities, (n_beats, n_labels) float32.

        Beats that have all leads are read together, then those with one lead missing on it alone.
        """
        logits = beat_logits(self._network, inputs, device=self._device, progress=progress)
        with torch.inference_mode():
            calibrated = self._network.calibrated(torch.from_numpy(logits).to(self._device))
            return np.asarray(calibrated.double().softmax(dim=1).float().cpu().numpy())


def beat_logits(
    network: BeatNetwork, inputs: BeatInputs, *, device: str, progress: Progress
) -> NDArray[np.float32]:
    """Uncalibrated logits, (n_beats, n_classes); at most 3,600 tokens go in at a time."""
    logits = np.zeros((len(inputs), network.config.n_classes), dtype=np.float32)

    def label(chunk: Chunk) -> int:
        leads, beats = chunk
        logits[beats] = _chunk_logits(network, inputs, leads, beats, device)
        return len(beats)

    done = 0
    in_turn = map if device != "cpu" else on_lanes
    for count in in_turn(label, _chunks(inputs)):
        progress.check_cancelled()
        done += count
        progress.advance(0.6 + 0.4 * done / len(inputs), stage="labelling beats")
    return logits


def _chunks(inputs: BeatInputs) -> list[Chunk]:
    chunks = []
    for leads, beats in _by_usable_leads(inputs):
        size = max(1, CHUNK_TOKENS // (len(leads) * WAVES_PER_BEAT))
        chunks += [(leads, beats[at : at + size]) for at in range(0, len(beats), size)]
    return chunks


def _chunk_logits(
    network: BeatNetwork,
    inputs: BeatInputs,
    leads: list[int],
    beats: NDArray[np.int64],
    device: str,
) -> NDArray[np.float32]:
    with torch.inference_mode():
        arrays = (
            inputs.words[beats][:, leads],
            inputs.windows[beats][:, leads],
            np.broadcast_to(
                inputs.ordinary[leads], (len(beats), len(leads), inputs.ordinary.shape[1])
            ).copy(),
            inputs.rhythm[beats],
            inputs.similarity[beats][:, leads],
        )
        logits = network(*(torch.from_numpy(array).to(device) for array in arrays))
        return np.asarray(logits.float().cpu().numpy())


def _by_usable_leads(inputs: BeatInputs) -> list[tuple[list[int], NDArray[np.int64]]]:
    """Groups of beats with the same readable leads. A beat with none is read on the first lead."""
    usable = inputs.usable.copy()
    usable[~usable.any(axis=1), 0] = True
    patterns, member = np.unique(usable, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(pattern).tolist(), np.flatnonzero(member.reshape(-1) == group))
        for group, pattern in enumerate(patterns)
    ]


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
