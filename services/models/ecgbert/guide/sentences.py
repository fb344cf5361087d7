"""What lies between the stages and the network: each lead of a record as a sentence of tokens.

Two granularities, a property of a model: one token a wave, whose signal is the mean of the wave,
and one token a sample, in which 3,600 tokens are ten seconds and the U-Net sees the waveform. The
arrays are the same for both. CLS and SEP are not among them: the original strips both again before
anything is embedded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import Annotations, FloatArray, IntArray
from services.ecg.segmentation import WaveIntervals
from services.errors import MalformedInput
from services.evaluation.matching import matched_beats
from services.models.ecgbert.guide.mapped_arrays import mapped_arrays, write_arrays
from services.models.ecgbert.reference.segments import WaveSlices
from services.models.ecgbert.spec import UNUSED_ID

Granularity = Literal["wave", "sample"]
GRANULARITIES: tuple[Granularity, ...] = ("wave", "sample")
NO_LABEL = -100  # teaches nothing; the index that torch's losses leave out by default

# name -> type on disk: a sample's token has 19 bytes, so half an hour of two leads 25 MB
_STORED = {
    "tokens": np.uint8,
    "signal": np.float32,
    "label": np.int8,
    "beat": np.int32,
    "start": np.int32,
    "end": np.int32,
    "kind": np.uint8,
}


@dataclass(frozen=True)
class LeadSentence:
    """One lead's tokens in time; each array (n_tokens,), possibly a read-only map of a file.

    tokens: ids of the guide, 0 to 69. signal: mV, the wave's mean or the sample itself.
    label: class, NO_LABEL (-100) where the token teaches nothing.
    beat: index into the record's R peaks, -1 for background.
    start, end: samples that the token speaks of, half-open, at the rate of the sentence.
    kind: P 0, QRS 1, T 2, background 3.
    """

    tokens: NDArray[np.integer]
    signal: FloatArray
    label: NDArray[np.integer]
    beat: NDArray[np.integer]
    start: NDArray[np.integer]
    end: NDArray[np.integer]
    kind: NDArray[np.integer]

    def __post_init__(self) -> None:
        for name in _STORED:
            if getattr(self, name).shape != self.tokens.shape or self.tokens.ndim != 1:
                raise ValueError(f"{name} must have one value a token, like all other arrays")

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class RecordSentences:
    """A record's leads.

    granularity: of its tokens. peaks: (n_beats,) R peaks that `beat` counts, at the rate of the
    sentence; empty where the leads have peaks of their own (the reference mode).
    """

    record: str
    patient: str
    granularity: Granularity
    lead_names: tuple[str, ...]
    leads: tuple[LeadSentence, ...]
    peaks: IntArray

    @property
    def n_tokens(self) -> int:
        """Over all leads."""
        return sum(len(lead) for lead in self.leads)


def lead_sentence(
    lead: NDArray[np.floating],
    waves: WaveIntervals,
    ids: IntArray,
    beat_label: NDArray[np.integer],
    *,
    granularity: Granularity,
) -> LeadSentence:
    """The default's sentence of a lead: a beat's P, QRS and T carry its label, background none.

    lead: (n_samples,) mV, at the rate of `waves`, which cover it. ids: (n_waves,).
    beat_label: (n_beats,) class, NO_LABEL for a beat that teaches nothing.
    """
    with_none = np.append(beat_label, NO_LABEL)  # background has beat -1, the last
    length = waves.end - waves.start
    if granularity == "wave":
        sums = np.add.reduceat(np.asarray(lead, dtype=np.float64), waves.start)
        signal, times = sums / length, np.ones_like(length)
        start, end = waves.start, waves.end
    else:
        signal, times = np.asarray(lead), length
        start = np.arange(len(lead), dtype=np.int64)
        end = start + 1
    return LeadSentence(
        tokens=np.repeat(ids, times),
        signal=signal.astype(np.float32),
        label=np.repeat(with_none[waves.beat], times),
        beat=np.repeat(waves.beat, times),
        start=start,
        end=end,
        kind=np.repeat(waves.kind, times),
    )


def reference_sentence(
    means: NDArray[np.float64], slices: WaveSlices, ids: IntArray, label: IntArray
) -> LeadSentence:
    """The original's sentence of a lead, one token a wave; each array (n_waves,).

    means: of the slices, mV. label: what the original says of a token's start. No token belongs to
    a beat there. `end` is half-open here as everywhere: one behind the original's last sample.
    """
    return LeadSentence(
        tokens=ids,
        signal=means.astype(np.float32),
        label=label,
        beat=np.full(len(ids), -1),
        start=slices.first,
        end=slices.last + 1,
        kind=slices.kind,
    )


def labels_of_beats(
    peaks: IntArray, annotations: Annotations, classes: IntArray, *, sampling_rate_hz: float
) -> IntArray:
    """Class of each detected beat, (n_beats,): that of the annotation matched within 150 ms.

    peaks: (n_beats,) and annotations at the same rate. classes: (n_annotations,) class of each, -1
    for a mark that is no beat. NO_LABEL where no beat is annotated.
    """
    known = classes >= 0
    match = matched_beats(annotations.sample[known], peaks, sampling_rate_hz=sampling_rate_hz)
    with_none = np.append(classes[known], NO_LABEL)
    return np.asarray(with_none[match.of_detected], dtype=np.int64)


def store_sentences(sentences: RecordSentences, path: Path) -> None:
    """As an uncompressed .npz, written beside and renamed; `stored_sentences` maps it again."""
    arrays: dict[str, NDArray[Any]] = {
        "record": np.array(sentences.record),
        "patient": np.array(sentences.patient),
        "granularity": np.array(sentences.granularity),
        "lead_names": np.array(sentences.lead_names, dtype=np.str_),
        "peaks": sentences.peaks.astype(np.int64),
    }
    for number, lead in enumerate(sentences.leads):
        for name, kind in _STORED.items():
            arrays[f"lead{number}_{name}"] = np.ascontiguousarray(getattr(lead, name), dtype=kind)
    write_arrays(path, arrays)


def stored_sentences(path: Path) -> RecordSentences:
    """What `store_sentences` wrote, its arrays mapped and not read.

    Raises MalformedInput, naming the file, where it is of another kind.
    """
    arrays = mapped_arrays(path)
    try:
        names = tuple(str(name) for name in arrays["lead_names"])
        leads = tuple(_lead(arrays, number) for number in range(len(names)))
        granularity = _granularity(str(arrays["granularity"]))
        record, patient = str(arrays["record"]), str(arrays["patient"])
        peaks = np.asarray(arrays["peaks"])
    except (KeyError, ValueError) as problem:
        raise MalformedInput(f"{path.name}: not a file of sentences: {problem}") from problem
    return RecordSentences(record, patient, granularity, names, leads, peaks)


def chunk_bounds(leads: Sequence[LeadSentence], *, size: int) -> IntArray:
    """(n_chunks, 3): lead, first token, end, of at most `size` tokens each, in order."""
    rows = [
        (number, first, min(first + size, len(lead)))
        for number, lead in enumerate(leads)
        for first in range(0, len(lead), size)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _lead(arrays: dict[str, NDArray[Any]], number: int) -> LeadSentence:
    fields = {name: arrays[f"lead{number}_{name}"] for name in _STORED}
    for name, kind in _STORED.items():
        if fields[name].dtype != kind:
            raise ValueError(f"lead{number}_{name} is {fields[name].dtype}, expected {kind}")
    if len(fields["tokens"]) and fields["tokens"].max() >= UNUSED_ID:
        raise ValueError(f"lead{number}_tokens has ids beyond {UNUSED_ID - 1}")
    return LeadSentence(**fields)


def _granularity(name: str) -> Granularity:
    for known in GRANULARITIES:
        if name == known:
            return known
    raise ValueError(f"granularity {name!r}; there are {', '.join(GRANULARITIES)}")
