"""Every intermediate value of the default arithmetic, under the names of the golden files.

Where the two differ in kind: everything is at 360 Hz; the R peaks are the record's, so each lead
has the same; `end` is half-open; `token_label` is the beat's class, -100 for what is no beat's, and
`token_beat` says which beat a token belongs to; signals are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg import filtering
from services.ecg.labels import aami_class_indices
from services.ecg.record import Annotations, EcgRecord
from services.ecg.resampling import indices_at_rate, resampled
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.preparation import CleanRecord, clean_record
from services.models.ecgbert.guide.sentences import NO_LABEL, LeadSentence, labels_of_beats
from services.models.ecgbert.leads import readable_leads
from services.models.ecgbert.reference.network import GuideNetwork, network_outputs
from services.models.ecgbert.reference.spec import WAVE_ORDER
from services.models.ecgbert.spec import SAMPLING_RATE_HZ
from services.training.progress import Progress

Arrays = dict[str, NDArray[Any]]


def first_seconds(record: EcgRecord, seconds: float | None) -> EcgRecord:
    """The first seconds as if there were no more."""
    if seconds is None:
        return record
    n_samples = min(record.n_samples, max(1, round(seconds * record.sampling_rate_hz)))
    annotations = record.annotations
    if annotations is not None:
        kept = int(np.searchsorted(annotations.sample, n_samples))
        annotations = Annotations(annotations.sample[:kept], annotations.symbol[:kept])
    return EcgRecord(
        signal=record.signal[:, :n_samples],
        lead_names=record.lead_names,
        sampling_rate_hz=record.sampling_rate_hz,
        units=record.units,
        name=record.name,
        format=record.format,
        annotations=annotations,
    )


def default_trace(
    record: EcgRecord, clusters: Clusters, network: GuideNetwork, *, progress: Progress
) -> Arrays:
    """The stages of one record of any rate. network: with the guide's ids, its output included.

    Without annotations there is no `token_label`. UnusableInput where no lead can be read.
    """
    leads = readable_leads(record)
    progress.advance(0.0, stage="filtering and finding R peaks")
    clean = clean_record(record, leads)
    arrays = _record_arrays(record, clean, leads.signal(record))
    labels = _beat_labels(record, clean)
    sentences = clean.sentences(clusters, "wave")
    for number, lead in enumerate(sentences.leads):
        progress.check_cancelled()
        progress.advance(0.4 + 0.6 * number / len(sentences.leads), stage=f"lead {number}")
        stages = _lead_arrays(lead, clean, network)
        if labels is not None:
            with_none = np.append(labels, NO_LABEL)
            stages["token_label"] = with_none[np.asarray(lead.beat)].astype(np.int8)
        arrays |= {f"lead{number}_{name}": values for name, values in stages.items()}
    progress.advance(1.0, stage="done")
    return arrays


def _record_arrays(record: EcgRecord, clean: CleanRecord, raw: NDArray[np.float32]) -> Arrays:
    stopped = filtering.bandstopped(
        np.asarray(raw, dtype=np.float32), sampling_rate_hz=record.sampling_rate_hz
    )
    stopped = resampled(stopped, from_hz=record.sampling_rate_hz, to_hz=SAMPLING_RATE_HZ)
    arrays: Arrays = {
        "record": np.array(record.name),
        "fs": np.array(round(SAMPLING_RATE_HZ)),
        "lead_names": np.array(clean.lead_names),
        "bandstopped": np.ascontiguousarray(stopped.T),
        "preprocessed": np.ascontiguousarray(clean.signal.T),
    }
    if record.annotations is not None:
        at = indices_at_rate(
            record.annotations.sample,
            from_hz=record.sampling_rate_hz,
            to_hz=SAMPLING_RATE_HZ,
            n_samples=clean.signal.shape[1],
        )
        arrays["annotation_sample"] = at
        arrays["annotation_symbol"] = np.array(record.annotations.symbol, dtype=np.str_)
    return arrays


def _beat_labels(record: EcgRecord, clean: CleanRecord) -> NDArray[np.int64] | None:
    if record.annotations is None:
        return None
    peaks = indices_at_rate(
        clean.peaks,
        from_hz=SAMPLING_RATE_HZ,
        to_hz=record.sampling_rate_hz,
        n_samples=record.n_samples,
    )
    return labels_of_beats(
        peaks,
        record.annotations,
        aami_class_indices(record.annotations.symbol),
        sampling_rate_hz=record.sampling_rate_hz,
    )


def _lead_arrays(lead: LeadSentence, clean: CleanRecord, network: GuideNetwork) -> Arrays:
    arrays: Arrays = {"rpeaks": clean.peaks.astype(np.int32)}
    start, end, kind = (np.asarray(getattr(lead, name)) for name in ("start", "end", "kind"))
    for number, name in enumerate(WAVE_ORDER):
        borders = np.stack([start[kind == number], end[kind == number]], axis=1)
        arrays[f"segments_{name}"] = borders.astype(np.int32)
    tokens = np.asarray(lead.tokens, dtype=np.int64)
    outputs = network_outputs(network, tokens, np.asarray(lead.signal, dtype=np.float64))
    return arrays | {
        "tokens": tokens.astype(np.int16),
        "token_start": start.astype(np.int32),
        "token_end": end.astype(np.int32),
        "token_type": np.array(WAVE_ORDER)[kind],
        "token_beat": np.asarray(lead.beat).astype(np.int32),
        "segment_mean": np.asarray(lead.signal, dtype=np.float32),
        "embedding": outputs.embedding,
        "encoder": outputs.encoder,
        "logits": outputs.logits,
    }
