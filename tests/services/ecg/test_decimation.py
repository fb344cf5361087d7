import numpy as np
import pytest

from services.ecg import decimation
from services.ecg.decimation import min_max_envelope


def test_every_extreme_is_kept_at_its_own_sample() -> None:
    signal = np.random.default_rng(3).standard_normal((2, 10_007)).astype(np.float32)
    signal[0, 5000], signal[1, 10_006] = 9.0, -9.0
    envelope = min_max_envelope(signal, max_points=200)
    assert envelope.sample.shape[1] <= 200
    for lead in range(2):
        assert (np.diff(envelope.sample[lead]) > 0).all()
        np.testing.assert_array_equal(envelope.value[lead], signal[lead, envelope.sample[lead]])
        assert envelope.value[lead].max() == signal[lead].max()
        assert envelope.value[lead].min() == signal[lead].min()


def test_each_stretch_gives_its_smallest_and_largest_in_order_of_time() -> None:
    signal = np.array([[0, 5, 1, -3, 2, 2, 2, 2, 7, 6, 5, 4]], dtype=np.float32)
    envelope = min_max_envelope(signal, max_points=6)
    assert envelope.sample.tolist() == [[1, 3, 4, 7, 8, 11]]


@pytest.mark.parametrize("n_samples", [0, 1, 10])
def test_few_samples_are_all_given(n_samples: int) -> None:
    signal = np.arange(n_samples, dtype=np.float32)[None]
    envelope = min_max_envelope(signal, max_points=10)
    np.testing.assert_array_equal(envelope.value, signal)
    assert envelope.sample.tolist() == [list(range(n_samples))]


@pytest.mark.parametrize("n_samples", [11, 101, 1001])
@pytest.mark.parametrize("max_points", [2, 3, 7, 10])
def test_there_are_never_more_points_than_asked_for(n_samples: int, max_points: int) -> None:
    signal = np.random.default_rng(0).standard_normal((1, n_samples)).astype(np.float32)
    envelope = min_max_envelope(signal, max_points=max_points)
    assert 2 <= envelope.sample.shape[1] <= max_points
    assert (np.diff(envelope.sample) > 0).all()


def test_missing_samples_never_hide_those_that_are_there() -> None:
    signal = np.full((1, 1000), np.nan, dtype=np.float32)
    signal[0, 123] = 4.0
    envelope = min_max_envelope(signal, max_points=20)
    assert np.nanmax(envelope.value) == 4.0
    assert np.isnan(envelope.value[0, -1])


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = np.random.default_rng(1).standard_normal((1, 5003)).astype(np.float32)
    whole = min_max_envelope(signal, max_points=100)
    monkeypatch.setattr(decimation, "CHUNK_SAMPLES", 300)
    np.testing.assert_array_equal(min_max_envelope(signal, max_points=100).sample, whole.sample)


def test_one_point_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        min_max_envelope(np.zeros((1, 5), dtype=np.float32), max_points=1)
