import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.ecg.segmentation import BACKGROUND, QRS, P, T, WaveIntervals, wave_intervals


def rows(waves: WaveIntervals) -> list[tuple[int, int, int, int]]:
    columns = (waves.start, waves.end, waves.kind, waves.beat)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_one_beat_has_its_waves_where_the_guide_puts_them() -> None:
    waves = wave_intervals(np.array([1000]), n_samples=3000, sampling_rate_hz=360.0)
    assert rows(waves) == [
        (0, 946, BACKGROUND, -1),
        (946, 982, P, 0),
        (982, 1018, QRS, 0),
        (1018, 1072, T, 0),
        (1072, 3000, BACKGROUND, -1),
    ]


def test_the_waves_follow_the_sampling_rate() -> None:
    waves = wave_intervals(np.array([500]), n_samples=1000, sampling_rate_hz=1000.0)
    assert rows(waves)[1:4] == [(350, 450, P, 0), (450, 550, QRS, 0), (550, 700, T, 0)]


def test_a_record_without_beats_is_all_background() -> None:
    waves = wave_intervals(np.empty(0, dtype=np.int64), n_samples=50, sampling_rate_hz=360.0)
    assert rows(waves) == [(0, 50, BACKGROUND, -1)]


def test_nothing_covers_an_empty_record() -> None:
    assert len(wave_intervals(np.empty(0, np.int64), n_samples=0, sampling_rate_hz=360.0)) == 0


def test_waves_at_the_ends_are_clipped_and_empty_ones_dropped() -> None:
    waves = wave_intervals(np.array([5, 995]), n_samples=1000, sampling_rate_hz=360.0)
    assert rows(waves) == [
        (0, 23, QRS, 0),
        (23, 77, T, 0),
        (77, 941, BACKGROUND, -1),
        (941, 977, P, 1),
        (977, 1000, QRS, 1),
    ]


def test_close_beats_part_in_the_middle_of_their_overlap() -> None:
    waves = wave_intervals(np.array([500, 600]), n_samples=1000, sampling_rate_hz=360.0)
    # T of the first would end at 572, P of the second begin at 546
    assert (518, 559, T, 0) in rows(waves)
    assert (559, 582, P, 1) in rows(waves)


def test_every_beat_keeps_a_qrs_around_its_r_peak_however_close_beats_are() -> None:
    peaks = np.array([100, 101, 110, 140, 176, 230])
    waves = wave_intervals(peaks, n_samples=400, sampling_rate_hz=360.0)
    complexes = waves.kind == QRS
    assert waves.beat[complexes].tolist() == [0, 1, 2, 3, 4, 5]
    assert (waves.start[complexes] <= peaks).all()
    assert (peaks < waves.end[complexes]).all()


@given(
    st.lists(st.integers(0, 1999), max_size=60, unique=True).map(sorted),
    st.sampled_from([100.0, 128.0, 360.0, 1000.0]),
)
def test_the_waves_cover_the_record_once(peaks: list[int], rate_hz: float) -> None:
    waves = wave_intervals(np.array(peaks, np.int64), n_samples=2000, sampling_rate_hz=rate_hz)
    assert waves.start[0] == 0
    assert waves.end[-1] == 2000
    assert (waves.start[1:] == waves.end[:-1]).all()
    assert (waves.end > waves.start).all()
    assert ((waves.beat < 0) == (waves.kind == BACKGROUND)).all()
    assert set(waves.beat[waves.kind == QRS]) == set(range(len(peaks)))
    assert (np.diff(waves.beat[waves.beat >= 0]) >= 0).all()
