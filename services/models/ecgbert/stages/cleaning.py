"""One record for step 1: cleaned, brought to 360 Hz, each sample and each beat with its class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.readers.files import record_from_path
from services.ecg.record import Annotations, IntArray
from services.ecg.resampling import indices_at_rate
from services.ecg.segmentation import wave_intervals
from services.evaluation.beats import LabelledBeats, reference_beats
from services.evaluation.matching import flutter_stretches, inside
from services.models.ecgbert.guide.reading import cleaned, missing_around
from services.models.ecgbert.guide.sentences import NO_LABEL
from services.models.ecgbert.reference.digital_record import read_digital_record
from services.models.ecgbert.reference.preprocessing import bandstopped, without_details
from services.models.ecgbert.reference.token_labels import aami_labels, binary_labels
from services.models.ecgbert.spec import SAMPLING_RATE_HZ
from services.models.ecgbert.stages.settings import Mode, StageSettings
from services.models.ecgbert.stages.survey import SurveyedRecord


@dataclass(frozen=True)
class CleanRecord:
    """What step 1 keeps of a record; a class is NO_LABEL where there is none, or it is not used.

    signal: (n_leads, n_samples) mV at 360 Hz. sample_labels: (n_samples,) class.
    beats, beat_labels: (n_beats,) annotated samples at 360 Hz and their class.
    annotations: all of them, at 360 Hz.
    """

    signal: NDArray[Any]
    sample_labels: NDArray[np.int8]
    beats: IntArray
    beat_labels: IntArray
    annotations: Annotations


def clean_record(source: SurveyedRecord, settings: StageSettings) -> CleanRecord:
    """What step 1 keeps of a record that has annotations."""
    if settings.mode is Mode.REFERENCE:
        return _reference(source, settings)
    record = record_from_path(Path(source.path))
    assert record.annotations is not None  # noqa: S101 - the survey found them
    raw = np.asarray(record.signal[list(source.rows)])
    signal = cleaned(raw, sampling_rate_hz=record.sampling_rate_hz)
    n_samples = signal.shape[1]
    at = indices_at_rate(
        record.annotations.sample,
        from_hz=record.sampling_rate_hz,
        to_hz=SAMPLING_RATE_HZ,
        n_samples=n_samples,
    )
    annotations = Annotations(at, record.annotations.symbol)
    reference = reference_beats(annotations)
    labels = _labels(reference, annotations, binary=settings.binary)
    own_rate = reference_beats(record.annotations).sample  # the same beats, before resampling
    gaps = missing_around(raw, own_rate, sampling_rate_hz=record.sampling_rate_hz)
    labels = np.where(gaps, NO_LABEL, labels)
    by_sample = sample_labels(reference.sample, labels, n_samples=n_samples)
    return CleanRecord(signal, by_sample, reference.sample, labels, annotations)


def sample_labels(beats: IntArray, labels: IntArray, *, n_samples: int) -> NDArray[np.int8]:
    """(n_samples,) class of the beat whose P, QRS or T a sample is in, NO_LABEL for none."""
    waves = wave_intervals(beats, n_samples=n_samples, sampling_rate_hz=SAMPLING_RATE_HZ)
    of_wave = np.append(labels, NO_LABEL)[waves.beat]  # background has the beat -1
    return np.repeat(of_wave, waves.end - waves.start).astype(np.int8)


def _labels(reference: LabelledBeats, annotations: Annotations, *, binary: bool) -> IntArray:
    """Beats in ventricular flutter are not to be used: where they are is a matter of taste."""
    labels = np.minimum(reference.label, 1) if binary else reference.label
    in_flutter = inside(reference.sample, flutter_stretches(annotations))
    return np.where(in_flutter, NO_LABEL, labels)


def _reference(source: SurveyedRecord, settings: StageSettings) -> CleanRecord:
    """Quirks 1, 2, 9, 10 and 14; read by wfdb, as the golden files are (quirk 11)."""
    record = read_digital_record(Path(source.path))
    assert record.annotations is not None  # noqa: S101 - the survey found them
    stopped = bandstopped(record.physical, sampling_rate_hz=record.sampling_rate_hz)
    of = binary_labels if settings.binary else aami_labels
    beats = reference_beats(record.annotations)
    return CleanRecord(
        signal=without_details(stopped),
        sample_labels=of(record.annotations, np.arange(record.physical.shape[1])).astype(np.int8),
        beats=beats.sample,
        beat_labels=_labels(beats, record.annotations, binary=settings.binary),
        annotations=record.annotations,
    )
