import numpy as np

from services.ecg.gaps import bridged, gap_mask, with_gaps


def test_a_signal_without_gaps_has_no_mask() -> None:
    assert gap_mask(np.ones((2, 5), dtype=np.float32)) is None


def test_a_gap_is_bridged_by_a_straight_line_and_its_ends_by_the_nearest_value() -> None:
    signal = np.array([[np.nan, 1.0, np.nan, 3.0, np.inf]], dtype=np.float32)
    gaps = gap_mask(signal)
    assert gaps is not None
    np.testing.assert_array_equal(bridged(signal, gaps), [[1.0, 1.0, 2.0, 3.0, 3.0]])
    marked = with_gaps(bridged(signal, gaps), gaps)
    np.testing.assert_array_equal(marked, [[np.nan, 1.0, np.nan, 3.0, np.nan]])


def test_a_lead_that_is_all_gap_becomes_zero() -> None:
    signal = np.full((1, 3), np.nan, dtype=np.float32)
    np.testing.assert_array_equal(bridged(signal, gap_mask(signal)), [[0.0, 0.0, 0.0]])
