"""Which tokens are hidden, and that nothing but those is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from services.ecg.segmentation import wave_intervals
from services.models.ecgbert.guide.chunks import ChunkedSentences
from services.models.ecgbert.guide.sentences import (
    GRANULARITIES,
    NO_LABEL,
    Granularity,
    RecordSentences,
    lead_sentence,
)
from services.models.ecgbert.pretraining.masking import (
    MaskedChunks,
    hidden_tokens,
    wave_of_token,
)
from services.models.ecgbert.reference.spec import MASKED_SHARE
from services.models.ecgbert.spec import MASK_ID
from tests.signals import made_ecg


def made(granularity: Granularity) -> tuple[RecordSentences, Any]:
    signal, peaks = made_ecg(duration_s=30.0)
    waves = wave_intervals(peaks, n_samples=signal.shape[1], sampling_rate_hz=360.0)
    ids, unknown = np.arange(len(waves)) % 70, np.full(len(peaks), NO_LABEL)
    leads = tuple(
        lead_sentence(lead + 1, waves, ids, unknown, granularity=granularity) for lead in signal
    )
    return RecordSentences("a", "a", granularity, ("II", "V1"), leads, peaks), waves


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_only_hidden_tokens_are_asked_for_and_their_signal_is_silent(
    granularity: Granularity,
) -> None:
    sentences, _ = made(granularity)
    chunks = ChunkedSentences([sentences], size=2000)
    data = MaskedChunks(chunks)
    at = np.arange(len(data))
    (tokens, signal, lengths), (label, _) = data.batch(at, torch.Generator().manual_seed(1))
    hidden = label != NO_LABEL
    assert hidden.any()
    assert (tokens[hidden] == MASK_ID).all()
    assert (signal[hidden] == 0).all()
    original = chunks.tokens(at)
    assert (label[hidden] == original[hidden]).all()
    assert (tokens[~hidden] == original[~hidden]).all()
    assert (signal[~hidden] == chunks.signal(at)[~hidden]).all()
    assert int(lengths.sum()) == len(tokens)


def test_whole_waves_are_hidden_where_each_sample_is_a_token() -> None:
    sentences, waves = made("sample")
    of_token = wave_of_token(sentences.leads[0])
    np.testing.assert_array_equal(np.bincount(of_token), waves.end - waves.start)
    hidden = hidden_tokens(of_token, np.random.default_rng(0))
    by_wave = [set(hidden[of_token == wave].tolist()) for wave in range(len(waves))]
    assert all(len(kinds) == 1 for kinds in by_wave)
    assert sum(True in kinds for kinds in by_wave) == round(MASKED_SHARE * len(waves))


def test_other_waves_are_hidden_each_time_and_the_same_ones_for_the_same_place() -> None:
    data = MaskedChunks(ChunkedSentences([made("wave")[0]]))
    at = np.arange(len(data))
    one, again, other = (
        data.batch(at, torch.Generator().manual_seed(seed))[1][0] for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_shortest_chunk_hides_one_wave() -> None:
    assert hidden_tokens(np.array([7]), np.random.default_rng(0)).tolist() == [True]
