"""From class logits of tokens to one answer a beat: over its waves, then over the leads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.ecg.record import IntArray
from services.models.cpu_lanes import on_lanes
from services.models.ecgbert.guide.chunks import ChunkedSentences, in_groups
from services.models.ecgbert.guide.losses import class_probabilities
from services.models.ecgbert.guide.network import GuideClassifier
from services.models.ecgbert.guide.sentences import NO_LABEL, RecordSentences
from services.training.progress import Progress
from services.training.reading import Batches


def beat_probabilities(
    network: GuideClassifier,
    record: RecordSentences,
    *,
    progress: Progress,
    batches: Batches | None = None,
) -> NDArray[np.float32]:
    """(n_beats, n_classes), each row summing to 1. batches: as for `lead_logits`.

    A beat's logits in a lead are the mean over its tokens (P, QRS and T; background has no say),
    its logits the mean over the leads.
    """
    network.eval()
    sums = torch.zeros((len(record.peaks), network.config.n_outputs))
    n_leads = torch.zeros(len(record.peaks))
    found = lead_logits(network, record, progress, batches)
    for lead, logits in zip(record.leads, found, strict=True):
        beat = torch.from_numpy(np.asarray(lead.beat, dtype=np.int64))
        own = torch.nonzero(beat >= 0)[:, 0]
        n_tokens = torch.bincount(beat[own], minlength=len(sums))
        total = torch.zeros_like(sums).index_add(0, beat[own], logits[own])
        sums += total / n_tokens.clamp(min=1)[:, None]
        n_leads += n_tokens > 0
    answer = class_probabilities((sums / n_leads.clamp(min=1)[:, None]).double())
    return np.asarray(answer.float().numpy())


def lead_logits(
    network: GuideClassifier,
    record: RecordSentences,
    progress: Progress,
    batches: Batches | None = None,
) -> list[Tensor]:
    """Logits of each lead's tokens, (n_tokens, n_outputs) each, on the CPU.

    batches: how many chunks at once, fewer where the device's memory is full; without it that is
    the caller's to deal with, and on a CPU each chunk has a processor of its own.
    """
    sentences = ChunkedSentences([record])
    n_chunks = len(sentences)

    def logits(chunks: IntArray) -> Tensor:
        with torch.inference_mode():
            out: Tensor = network(
                sentences.tokens(chunks).to(network.device),
                sentences.signal(chunks).to(network.device),
                sentences.lengths(chunks),
            )
            return out.float().cpu()

    if batches is not None:
        in_turn = batches.through(n_chunks, logits)
    elif network.device.type == "cpu":
        in_turn = on_lanes(logits, in_groups(n_chunks, 1))
    else:
        in_turn = map(logits, in_groups(n_chunks))
    found: list[Tensor] = []
    done = 0
    for part in in_turn:
        progress.check_cancelled()
        done += len(part)
        progress.advance(0.4 + 0.6 * done / sentences.n_tokens, stage="labelling beats")
        found.append(part)
    sizes = [len(lead) for lead in record.leads]
    return list(torch.split(torch.cat(found), sizes)) if found else []


def beat_labels(record: RecordSentences) -> NDArray[np.int64]:
    """Each beat's class as its tokens carry it, (n_beats,); NO_LABEL where they carry none."""
    label = np.full(len(record.peaks), NO_LABEL, dtype=np.int64)
    for lead in record.leads:
        beat = np.asarray(lead.beat)
        taught = np.flatnonzero((beat >= 0) & (np.asarray(lead.label) != NO_LABEL))
        label[beat[taught]] = lead.label[taught]
    return label


def beat_scores(
    probabilities: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.int64]],
    names: Sequence[str],
) -> dict[str, float]:
    """Accuracy, F1 of each class that occurs, and their mean: what a run is chosen by.

    Of the beats that were found and are annotated; services.evaluation counts missed ones too.
    """
    answer = np.concatenate([p.argmax(axis=1) for p in probabilities])
    label = np.concatenate(list(labels))
    known = label != NO_LABEL
    answer, label = answer[known], label[known]
    if not len(label):
        return {"accuracy": float("nan"), "macro_f1": float("nan")}
    f1 = {}
    for which in np.unique(label).tolist():
        right = np.count_nonzero((answer == which) & (label == which))
        said = np.count_nonzero(answer == which) + np.count_nonzero(label == which)
        f1[f"f1_{names[which]}"] = 2 * right / said
    accuracy, mean = float(np.mean(answer == label)), float(np.mean(list(f1.values())))
    return {"accuracy": accuracy, "macro_f1": mean, **f1}
