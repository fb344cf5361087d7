"""A base of one's own: clusters and a network that has learnt to say which waves were hidden.

The result is a folder like the one that the public files are imported to, and a fine-tune starts
from either. Interrupted, the same call goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from services.ecg.readers.files import record_from_path
from services.errors import UnusableInput
from services.models import weights
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.chunks import ChunkedSentences, in_groups
from services.models.ecgbert.guide.losses import TokenLoss
from services.models.ecgbert.guide.network import GuideConfig
from services.models.ecgbert.guide.reading import cleaned, peaks_and_waves, wave_ids
from services.models.ecgbert.guide.sentences import (
    NO_LABEL,
    Granularity,
    RecordSentences,
    lead_sentence,
    store_sentences,
    stored_sentences,
)
from services.models.ecgbert.pretraining.masking import MaskedChunks, MaskedWaveNetwork
from services.models.ecgbert.public.cluster_files import CLUSTERS_NPZ
from services.models.ecgbert.public.pretrained_folder import CARD, WEIGHTS, pretrained_card
from services.models.ecgbert.reference import spec as reference
from services.models.ecgbert.spec import CHUNK_TOKENS
from services.models.ecgbert.stages.finished import finish
from services.models.ecgbert.stages.parallel import Workforce, each
from services.models.ecgbert.stages.sentences import clusters_digest
from services.models.ecgbert.stages.survey import SurveyedRecord
from services.training.engine import Outcome, Training, trained
from services.training.plan import EnginePlan, Precision
from services.training.seeds import one_thread, seed_everything
from services.training.splits import patient_split

VALIDATION_SHARE = 0.1  # of the patients, by whom the best epoch is chosen
VERSION = 1
_WORK = "work"  # what a run that goes on needs
_CHUNKS_TOLD_BY = 4096  # of the masks that validation always hides


NAME = "ecgbert-pretrained"  # of the model, where none is given


@dataclass(frozen=True)
class PretrainingRecipe:
    """Numbers of a run. attention_window: tokens that attend to one another."""

    epochs: int = 50
    batch: int = reference.PRETRAIN_BATCH_SIZE
    learning_rate: float = reference.PRETRAIN_LEARNING_RATE
    granularity: Granularity = "wave"
    attention_window: int = CHUNK_TOKENS
    precision: Precision = "off"
    seed: int = 0


def pretrain(
    records: Sequence[SurveyedRecord],
    clusters: Clusters,
    run: Workforce,
    *,
    recipe: PretrainingRecipe,
    out: Path,
    device: str,
) -> dict[str, Any]:
    """Writes weights.safetensors, clusters.npz and, last, card.json to `out`; returns the card.

    records: annotations are not needed. UnusableInput for fewer than two patients.
    """
    patients = {record.patient for record in records}
    if len(patients) < 2:
        raise UnusableInput("pre-training needs records of two patients, one of them to validate")
    work = out / _WORK
    sentences = _sentences(records, clusters, recipe.granularity, work / "sentences", run)
    held_out = _held_out(records, seed=recipe.seed)
    train = [each_ for each_ in sentences if each_.patient not in held_out]
    validation = [each_ for each_ in sentences if each_.patient in held_out]
    seed_everything(recipe.seed)
    network = MaskedWaveNetwork(
        GuideConfig(granularity=recipe.granularity, attention_window=recipe.attention_window)
    )
    with one_thread():
        outcome = _fitted(network, (train, validation), recipe, work / "training", device, run)
    weights.save_tensors(network.cpu().public_tensors(), out / WEIGHTS)
    clusters.save(out / CLUSTERS_NPZ)
    card = _card(records, clusters, recipe, held_out, outcome)
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n")
    return card


def masked_scores(
    network: MaskedWaveNetwork, data: MaskedChunks, loss: TokenLoss
) -> Mapping[str, float]:
    """`masked_loss` (nats) and `masked_accuracy`, always with the same waves hidden."""
    losses, right, asked = [], 0, 0
    with torch.no_grad():
        for place, chunks in enumerate(in_groups(len(data))):
            generator = torch.Generator().manual_seed(_CHUNKS_TOLD_BY + place)
            (tokens, signal, lengths), (label, chunk) = data.batch(chunks, generator)
            logits = network(tokens.to(network.device), signal.to(network.device), lengths).cpu()
            losses.append(loss(logits, (label, chunk)))
            hidden = label != NO_LABEL
            right += int((logits[hidden].argmax(dim=1) == label[hidden]).sum())
            asked += int(hidden.sum())
    return {"masked_loss": float(torch.cat(losses).mean()), "masked_accuracy": right / asked}


def _fitted(
    network: MaskedWaveNetwork,
    parts: tuple[Sequence[RecordSentences], Sequence[RecordSentences]],
    recipe: PretrainingRecipe,
    workspace: Path,
    device: str,
    run: Workforce,
) -> Outcome:
    train, held_out = (MaskedChunks(ChunkedSentences(part)) for part in parts)
    loss = TokenLoss()

    def optimizer(module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(module.parameters(), lr=recipe.learning_rate)

    return trained(
        Training(
            network=network,
            data=train,
            loss=loss,
            optimizer=optimizer,
            validate=lambda _: masked_scores(network, held_out, loss),
        ),
        EnginePlan(
            epochs=recipe.epochs,
            batch=recipe.batch,
            monitor="masked_loss",
            precision=recipe.precision,
            seed=recipe.seed,
        ),
        workspace=workspace,
        device=device,
        progress=run.progress,
    )


def _held_out(records: Sequence[SurveyedRecord], *, seed: int) -> frozenset[str]:
    counts: dict[str, Any] = {}
    for record in records:
        own = np.array([record.n_samples], dtype=np.int64)
        counts[record.patient] = counts.get(record.patient, 0) + own
    divided = patient_split(counts, validation_share=VALIDATION_SHARE, test_share=0.0, seed=seed)
    return frozenset(divided.validation)


def _sentences(
    records: Sequence[SurveyedRecord],
    clusters: Clusters,
    granularity: Granularity,
    folder: Path,
    run: Workforce,
) -> list[RecordSentences]:
    key = {
        "version": VERSION,
        "granularity": granularity,
        "clusters": clusters_digest(clusters),
        "records": [record.as_key() for record in records],
    }

    def make(into: Path) -> None:
        arguments = [
            (record, clusters, granularity, into / f"{place}.npz")
            for place, record in enumerate(records)
        ]
        each(_write_sentences, arguments, run, stage="sentences")

    finish(folder, key, make)
    return [stored_sentences(folder / f"{place}.npz") for place in range(len(records))]


def _write_sentences(
    source: SurveyedRecord, clusters: Clusters, granularity: Granularity, path: Path
) -> None:
    record = record_from_path(Path(source.path))
    signal = cleaned(record.signal[list(source.rows)], sampling_rate_hz=record.sampling_rate_hz)
    peaks, waves = peaks_and_waves(signal)
    unknown = np.full(len(peaks), NO_LABEL)
    leads = tuple(
        lead_sentence(
            lead, waves, wave_ids(lead, waves, clusters), unknown, granularity=granularity
        )
        for lead in signal
    )
    found = RecordSentences(
        source.name, source.patient, granularity, source.lead_names, leads, peaks
    )
    store_sentences(found, path)


def _card(
    records: Sequence[SurveyedRecord],
    clusters: Clusters,
    recipe: PretrainingRecipe,
    held_out: frozenset[str],
    outcome: Outcome,
) -> dict[str, Any]:
    return pretrained_card(NAME) | {
        "granularity": recipe.granularity,
        "token_ids": "guide: waves 0-69, CLS 71, SEP 72, MASK 73, PAD 74; row 70 is free",
        "clusters": {"sha256": clusters_digest(clusters), "compared_with": clusters.points},
        "records": [record.name for record in records],
        "validation_patients": sorted(held_out),
        "hyperparameters": asdict(recipe) | {"masked_share": reference.MASKED_SHARE},
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "history": outcome.history,
    }
