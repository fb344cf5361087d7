"""Every intermediate value of the original's pipeline, under the golden files' names and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import UnusableInput
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.reference.digital_record import DigitalRecord
from services.models.ecgbert.reference.network import GuideNetwork, network_outputs
from services.models.ecgbert.reference.peaks import ColumnPeaks, peaks_of_columns
from services.models.ecgbert.reference.preprocessing import bandstopped, without_details
from services.models.ecgbert.reference.segments import slice_means, wave_segments, wave_slices
from services.models.ecgbert.reference.spec import PRETRAIN_ID_SHIFT, WAVE_ORDER
from services.models.ecgbert.reference.token_labels import aami_labels
from services.models.ecgbert.reference.tokens import wave_tokens
from services.training.progress import Progress

Arrays = dict[str, NDArray[Any]]


def reference_trace(
    record: DigitalRecord, clusters: Clusters, network: GuideNetwork, *, progress: Progress
) -> Arrays:
    """The stages of one record, read as the whole record. network: with the checkpoint's own ids.

    `lead{i}` counts the leads that have peaks (quirk 7). Without annotations there is no
    `token_label`. Raises UnusableInput where the original could not have gone on.
    """
    progress.advance(0.0, stage="filtering")
    stopped = bandstopped(record.physical, sampling_rate_hz=record.sampling_rate_hz)
    signal = without_details(stopped)
    arrays = _record_arrays(record)
    arrays["bandstopped"] = stopped.T.astype(np.float32)
    arrays["preprocessed"] = np.ascontiguousarray(signal.T)
    progress.advance(0.2, stage="finding R peaks")
    columns = peaks_of_columns(signal)
    if not columns:
        raise UnusableInput(f"{record.name}: hamilton2002 finds no R peak in any lead")
    for done, column in enumerate(columns):
        progress.check_cancelled()
        progress.advance(0.4 + 0.6 * done / len(columns), stage=f"lead {column.column}")
        stages = _lead_arrays(record, signal[column.column], column, clusters, network)
        arrays |= {f"lead{column.column}_{name}": values for name, values in stages.items()}
    progress.advance(1.0, stage="done")
    return arrays


def _record_arrays(record: DigitalRecord) -> Arrays:
    narrow = np.int16 if abs(record.adc).max() < 2**15 else np.int32
    arrays: Arrays = {
        "record": np.array(record.name),
        "fs": np.array(round(record.sampling_rate_hz)),
        "lead_names": np.array(record.lead_names),
        "adc": record.adc.astype(narrow),
        "gain": record.gain,
        "baseline": record.baseline,
    }
    if record.annotations is not None:
        arrays["annotation_sample"] = record.annotations.sample
        arrays["annotation_symbol"] = np.array(record.annotations.symbol, dtype=np.str_)
    return arrays


def _lead_arrays(
    record: DigitalRecord,
    lead: NDArray[np.float64],
    column: ColumnPeaks,
    clusters: Clusters,
    network: GuideNetwork,
) -> Arrays:
    segments = wave_segments(column.peaks, n_samples=len(lead))
    slices = wave_slices(segments, n_samples=len(lead))
    tokens, means = wave_tokens(lead, slices, clusters), slice_means(lead, slices)
    arrays: Arrays = {"rpeaks": column.peaks.astype(np.int32)}
    for name, borders in zip(WAVE_ORDER, segments, strict=True):
        arrays[f"segments_{name}"] = borders.astype(np.int32)
    arrays |= {
        "tokens": tokens.astype(np.int16),
        "token_start": slices.start.astype(np.int32),
        "token_end": slices.end.astype(np.int32),
        "token_type": np.array(WAVE_ORDER)[slices.kind],
        "segment_mean": means,
    }
    if record.annotations is not None:
        at = np.minimum(slices.start, len(lead) - 1)
        arrays["token_label"] = aami_labels(record.annotations, at).astype(np.int8)
    outputs = network_outputs(network, tokens, means)
    arrays |= {
        "embedding": outputs.embedding,
        "encoder": outputs.encoder,
        "logits": outputs.logits,
        # with the ids that the checkpoint was trained with
        "plus4_logits": network_outputs(network, tokens + PRETRAIN_ID_SHIFT, means).logits,
    }
    return arrays
