"""How waves become a sentence `[71] tokens [72]`, and which words of it speak of which beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.ecg.record import IntArray
from services.ecg.segmentation import BACKGROUND, QRS, P, T, WaveIntervals
from services.models.ecgbert.spec import CHUNK_TOKENS, CLS_ID, PAD_ID, SEP_ID, WAVES_PER_BEAT


@dataclass(frozen=True)
class Sentence:
    """One lead's waves as words.

    ids: (n_waves + 2,) token ids, CLS first and SEP last.
    beat: (n_waves + 2,) index of the beat that a word belongs to, -1 for background, CLS and SEP.
    """

    ids: IntArray
    beat: IntArray

    def words(self) -> IntArray:
        """The tokens without CLS and SEP, (n_waves,): what `sentence` was given."""
        return self.ids[1:-1]

    def chunks(self, max_tokens: int = CHUNK_TOKENS) -> Iterator[slice]:
        """Slices over `words()` of at most so many, in order, together all of them."""
        n_words = len(self.ids) - 2
        for first in range(0, n_words, max_tokens):
            yield slice(first, min(first + max_tokens, n_words))


def sentence(tokens: IntArray, waves: WaveIntervals) -> Sentence:
    """`[71] tokens [72]`. tokens: (n_waves,) ids of the waves in their order in time."""
    return Sentence(
        ids=np.concatenate([[CLS_ID], tokens, [SEP_ID]]).astype(np.int64),
        beat=np.concatenate([[-1], waves.beat, [-1]]).astype(np.int64),
    )


def waves_of_beats(waves: WaveIntervals, *, n_beats: int) -> IntArray:
    """Each beat's own waves: background before it, P, QRS, T, background after it. (n_beats, 5).

    Indices into `waves`; -1 where beats lie so close that a wave or the background is not there.
    """
    index = np.full((n_beats, WAVES_PER_BEAT), -1, dtype=np.int64)
    for column, kind in ((1, P), (2, QRS), (3, T)):
        chosen = np.flatnonzero(waves.kind == kind)
        index[waves.beat[chosen], column] = chosen
    silent = np.flatnonzero(waves.kind == BACKGROUND)
    after = silent[silent > 0]
    index[waves.beat[after - 1], 4] = after
    before = silent[silent < len(waves) - 1]
    index[waves.beat[before + 1], 0] = before
    return index


def words_of_beats(tokens: IntArray, waves_of_beat: IntArray) -> IntArray:
    """The words of each beat, (n_beats, 5) token ids; PAD (74) for a wave that is not there."""
    with_pad = np.append(tokens, PAD_ID)
    return np.asarray(with_pad[waves_of_beat], dtype=np.int64)
