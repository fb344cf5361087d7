from __future__ import annotations

import numpy as np

from services.ecg.segmentation import wave_intervals
from services.models.ecgbert.sentence import sentence, waves_of_beats, words_of_beats
from services.models.ecgbert.spec import CLS_ID, PAD_ID, SEP_ID

PEAKS = np.array([300, 600, 900])
WAVES = wave_intervals(PEAKS, n_samples=1200, sampling_rate_hz=360.0)
TOKENS = np.arange(len(WAVES))


def test_a_sentence_is_its_tokens_between_71_and_72() -> None:
    made = sentence(TOKENS, WAVES)
    assert (made.ids[0], made.ids[-1]) == (71, 72) == (CLS_ID, SEP_ID)
    assert np.array_equal(made.words(), TOKENS)


def test_every_word_of_a_wave_knows_its_beat() -> None:
    made = sentence(TOKENS, WAVES)
    assert np.array_equal(made.beat[1:-1], WAVES.beat)
    assert [int((made.beat == beat).sum()) for beat in range(3)] == [3, 3, 3]


def test_chunks_hold_at_most_so_many_words_and_lose_none() -> None:
    made = sentence(TOKENS, WAVES)
    parts = [made.words()[chunk] for chunk in made.chunks(max_tokens=4)]
    assert max(len(part) for part in parts) == 4
    assert np.array_equal(np.concatenate(parts), TOKENS)


def test_a_beat_owns_the_background_before_it_its_waves_and_the_background_after_it() -> None:
    index = waves_of_beats(WAVES, n_beats=3)
    assert WAVES.kind[index].tolist() == [[3, 0, 1, 2, 3]] * 3
    assert (WAVES.start[index[:, 2]] <= PEAKS).all()
    assert (WAVES.end[index[:, 2]] > PEAKS).all()


def test_neighbours_share_the_background_between_them() -> None:
    index = waves_of_beats(WAVES, n_beats=3)
    assert np.array_equal(index[:-1, 4], index[1:, 0])


def test_beats_without_background_between_them_are_padded() -> None:
    waves = wave_intervals(np.array([300, 380]), n_samples=900, sampling_rate_hz=360.0)
    words = words_of_beats(np.zeros(len(waves), dtype=np.int64), waves_of_beats(waves, n_beats=2))
    assert words[0, 4] == PAD_ID
    assert words[1, 0] == PAD_ID
    assert words[0, 0] == 0


def test_a_beat_at_the_very_start_has_no_background_before_it() -> None:
    waves = wave_intervals(np.array([5, 400]), n_samples=900, sampling_rate_hz=360.0)
    words = words_of_beats(np.zeros(len(waves), dtype=np.int64), waves_of_beats(waves, n_beats=2))
    assert words[0, :2].tolist() == [PAD_ID, PAD_ID]
