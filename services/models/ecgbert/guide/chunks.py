"""Sentences of many records as chunks to train on, and their embedding, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from services.disk import one_at_a_time
from services.ecg.record import FloatArray, IntArray
from services.models.ecgbert.guide.losses import Target
from services.models.ecgbert.guide.network import GuideClassifier
from services.models.ecgbert.guide.sentences import (
    NO_LABEL,
    LeadSentence,
    RecordSentences,
    chunk_bounds,
)
from services.models.ecgbert.spec import CHUNK_TOKENS, WIDTH
from services.training.progress import Progress

# larger embeddings than this are computed when they are needed: a token's has 128 bytes
LARGEST_CACHE_BYTES = 4 * 1024**3
CHUNKS_AT_ONCE = 16


class ChunkedSentences:
    """Every lead of every record, cut into chunks of at most 3,600 tokens."""

    def __init__(self, records: Sequence[RecordSentences], *, size: int = CHUNK_TOKENS) -> None:
        self.leads: list[LeadSentence] = [lead for record in records for lead in record.leads]
        self.bounds = chunk_bounds(self.leads, size=size)
        lengths = self.bounds[:, 2] - self.bounds[:, 1]
        self.first = np.concatenate([[0], np.cumsum(lengths)])  # of a chunk, over all of them

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def n_tokens(self) -> int:
        """Over all records."""
        return int(self.first[-1])

    def lengths(self, chunks: IntArray) -> Tensor:
        """Tokens of each of these chunks, (n_chunks,)."""
        return torch.from_numpy(self.first[chunks + 1] - self.first[chunks])

    def tokens(self, chunks: IntArray) -> Tensor:
        """Ids of these chunks, packed, (n_tokens,) int64."""
        return torch.from_numpy(self._packed("tokens", chunks).astype(np.int64))

    def signal(self, chunks: IntArray) -> Tensor:
        """mV of these chunks, packed, (n_tokens,) float32."""
        return torch.from_numpy(self._packed("signal", chunks).astype(np.float32))

    def target(self, chunks: IntArray) -> Target:
        """Labels of these chunks' tokens, and which of them each belongs to."""
        label = torch.from_numpy(self._packed("label", chunks).astype(np.int64))
        return label, torch.repeat_interleave(torch.arange(len(chunks)), self.lengths(chunks))

    def class_counts(self, n_classes: int) -> IntArray:
        """Labelled tokens of each class, (n_classes,)."""
        counts = np.zeros(n_classes, dtype=np.int64)
        for lead in self.leads:
            label = np.asarray(lead.label, dtype=np.int64)
            counts += np.bincount(label[label != NO_LABEL], minlength=n_classes)
        return counts

    def _packed(self, name: str, chunks: IntArray) -> NDArray[np.generic]:
        rows = self.bounds[chunks]
        return np.concatenate(
            [np.asarray(getattr(self.leads[lead], name)[first:end]) for lead, first, end in rows]
        )


class WordChunks:
    """Training data for a network whose embedding learns too."""

    def __init__(self, sentences: ChunkedSentences) -> None:
        self.sentences = sentences

    def __len__(self) -> int:
        return len(self.sentences)

    def batch(
        self, indices: IntArray, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Target]:
        """Ids, signal and lengths of these chunks, and what they teach."""
        words = self.sentences
        inputs = (words.tokens(indices), words.signal(indices), words.lengths(indices))
        return inputs, words.target(indices)


class EmbeddedChunks:
    """Training data for a network whose embedding is frozen: its output, read from the disk."""

    def __init__(self, sentences: ChunkedSentences, embedded: FloatArray) -> None:
        self.sentences, self.embedded = sentences, embedded

    def __len__(self) -> int:
        return len(self.sentences)

    def batch(
        self, indices: IntArray, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Target]:
        """Embedding and lengths of these chunks, and what they teach."""
        first = self.sentences.first
        rows = [self.embedded[first[chunk] : first[chunk + 1]] for chunk in indices]
        embedded = torch.from_numpy(np.concatenate(rows))
        return (embedded, self.sentences.lengths(indices)), self.sentences.target(indices)


class EmbeddingChunks:
    """The same where the disk would have to hold too much: embedded whenever it is needed."""

    def __init__(self, sentences: ChunkedSentences, network: GuideClassifier) -> None:
        self.sentences, self.network = sentences, network

    def __len__(self) -> int:
        return len(self.sentences)

    def batch(
        self, indices: IntArray, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Target]:
        """Embedding and lengths of these chunks, and what they teach."""
        embedded = embedding_of(self.network, self.sentences, indices)
        return (embedded, self.sentences.lengths(indices)), self.sentences.target(indices)


def frozen_chunks(
    network: GuideClassifier, sentences: ChunkedSentences, path: Path, *, progress: Progress
) -> EmbeddedChunks | EmbeddingChunks:
    """Training data under a frozen embedding: kept in `path` where it fits there.

    The file is written beside and renamed, so one that is there is whole; a run that goes on finds
    it again.
    """
    if sentences.n_tokens * WIDTH * 4 > LARGEST_CACHE_BYTES:
        return EmbeddingChunks(sentences, network)
    with one_at_a_time(path.with_suffix(".lock")):  # of several processes one writes
        if not path.is_file():
            _write_embedding(network, sentences, path, progress)
    return EmbeddedChunks(sentences, np.load(path, mmap_mode="r", allow_pickle=False))


@torch.no_grad()
def embedding_of(network: GuideClassifier, sentences: ChunkedSentences, chunks: IntArray) -> Tensor:
    """(n_tokens, 32) float32 on the CPU; the U-Net's norms as in evaluation."""
    norms_learn = network.cnn_embedding.training
    network.cnn_embedding.eval()
    found = network.embedded_packed(
        sentences.tokens(chunks).to(network.device),
        sentences.signal(chunks).to(network.device),
        sentences.lengths(chunks),
    )
    network.cnn_embedding.train(norms_learn)
    return found.cpu()


def in_groups(n_chunks: int, size: int = CHUNKS_AT_ONCE) -> Iterator[IntArray]:
    """The chunks in order, so many at a time."""
    for first in range(0, n_chunks, size):
        yield np.arange(first, min(first + size, n_chunks))


def _write_embedding(
    network: GuideClassifier, sentences: ChunkedSentences, path: Path, progress: Progress
) -> None:
    beside = path.with_suffix(".partial")
    shape = (sentences.n_tokens, WIDTH)
    cache: np.memmap[Any, Any] = open_memmap(beside, mode="w+", dtype=np.float32, shape=shape)
    for chunks in in_groups(len(sentences)):
        progress.check_cancelled()
        progress.advance(chunks[0] / len(sentences), stage="embedding")
        rows = slice(sentences.first[chunks[0]], sentences.first[chunks[-1] + 1])
        cache[rows] = embedding_of(network, sentences, chunks).numpy()
    cache.flush()
    beside.replace(path)
