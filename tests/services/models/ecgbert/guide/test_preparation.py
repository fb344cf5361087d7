"""Which beats of a record teach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.ecg.labels import AAMI_CLASSES
from services.models.ecgbert.guide.preparation import labelled_record
from services.models.ecgbert.guide.sentences import NO_LABEL
from tests.services.models.ecgbert import labelled_beats


def test_a_beat_whose_waves_lack_samples_teaches_nothing() -> None:
    labelled = labelled_beats.labelled_record(1)
    whole = labelled_record(labelled, AAMI_CLASSES)
    assert (whole.beat_label != NO_LABEL).all()
    chosen = len(whole.peaks) // 2
    end_of_t = int(whole.peaks[chosen]) + round(0.18 * 360)  # R + 0.05 s + 0.15 s is the end
    signal = labelled.record.signal.copy()
    signal[1, end_of_t : end_of_t + 5] = np.nan
    broken = replace(labelled, record=replace(labelled.record, signal=signal))
    found = labelled_record(broken, AAMI_CLASSES)
    assert np.array_equal(found.peaks, whole.peaks)
    assert np.flatnonzero(found.beat_label == NO_LABEL).tolist() == [chosen]
