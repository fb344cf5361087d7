"""Record -> what the network reads of each beat: words, waveform, the ordinary beat, rhythm.

The signal is read in pieces that overlap by what the filters and windows need, so memory grows with
the number of beats and not with the samples; how it is cut changes no beat's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ecg import filtering
from services.ecg.record import EcgRecord, FloatArray, IntArray
from services.ecg.resampling import indices_at_rate, resampled
from services.ecg.rpeaks import r_peaks
from services.ecg.segmentation import wave_intervals
from services.models.ecgbert import reference_beat
from services.models.ecgbert.alike import alike_features
from services.models.ecgbert.clusters import Clusters, wave_points
from services.models.ecgbert.leads import ChosenLeads
from services.models.ecgbert.rhythm import in_step, rhythm_features
from services.models.ecgbert.sentence import waves_of_beats, words_of_beats
from services.models.ecgbert.spec import SAMPLING_RATE_HZ
from services.training.progress import Progress

PIECE_S = 1800.0
MARGIN_S = filtering.MARGIN_S + 6.0  # the filters' reach and the longest pause that is a wave
FEWEST_WHOLE_BEATS = 8  # that have all leads: the ordinary beat is then one beat on all leads
SMALLEST_HEIGHT_MV = 0.01  # an ordinary QRS lower than this is no beat's


@dataclass(frozen=True)
class BeatShapes:
    """What the signal around each beat looks like, in millivolts.

    windows: (n_beats, n_leads, 120); NaN where samples are missing.
    points: (n_leads, n_waves, 10) and kind: (n_waves,) of every wave; waves: (n_beats, 5) indices
    into them, -1 for none.
    """

    windows: FloatArray
    points: FloatArray
    kind: IntArray
    waves: IntArray


@dataclass(frozen=True)
class BeatInputs:
    """Everything that the network reads; signals in units of the ordinary beat's QRS height.

    words: (n_beats, n_leads, 5) token ids. windows: (n_beats, n_leads, 120). ordinary: (n_leads,
    120). rhythm: (n_beats, n_rhythm), of the beat and of the beats that look like it. similarity:
    (n_beats, n_leads, n_similarity).
    usable: (n_beats, n_leads) bool, False where the lead is missing or silent around the beat.
    """

    words: IntArray
    windows: FloatArray
    ordinary: FloatArray
    rhythm: FloatArray
    similarity: FloatArray
    usable: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class MeasuredBeats:
    """BeatInputs whose waves are not words yet; points, kind and waves as in BeatShapes."""

    points: FloatArray
    kind: IntArray
    waves: IntArray
    windows: FloatArray
    ordinary: FloatArray
    rhythm: FloatArray
    similarity: FloatArray
    usable: NDArray[np.bool_]

    def with_words(self, clusters: Clusters) -> BeatInputs:
        """The waves called by the clusters that they are in."""
        words = [
            words_of_beats(clusters.tokens(lead, self.kind), self.waves) for lead in self.points
        ]
        return BeatInputs(
            words=np.stack(words, axis=1),
            windows=self.windows,
            ordinary=self.ordinary,
            rhythm=self.rhythm,
            similarity=self.similarity,
            usable=self.usable,
        )


def detected_peaks(record: EcgRecord, leads: ChosenLeads, *, method: str) -> IntArray:
    """R peaks over the chosen leads, (n_beats,) in the record's own rate."""
    signal = leads.signal(record)
    return r_peaks(signal, sampling_rate_hz=record.sampling_rate_hz, method=method)


def beat_inputs(
    record: EcgRecord,
    leads: ChosenLeads,
    peaks: IntArray,
    clusters: Clusters,
    *,
    progress: Progress,
) -> BeatInputs:
    """What the network reads of the beats at `peaks` (own rate, ascending, at least one)."""
    shapes = beat_shapes(record, leads, peaks, progress=progress)
    return from_shapes(
        shapes, rhythm_source=peaks, sampling_rate_hz=record.sampling_rate_hz, clusters=clusters
    )


def beat_shapes(
    record: EcgRecord,
    leads: ChosenLeads,
    peaks: IntArray,
    *,
    progress: Progress,
    piece_s: float = PIECE_S,
) -> BeatShapes:
    """Windows and waves of every beat, read piece by piece. Shapes as in BeatShapes."""
    pieces: list[BeatShapes] = []
    size = max(1, round(piece_s * record.sampling_rate_hz))
    for start in range(0, record.n_samples, size):
        progress.check_cancelled()
        progress.advance(0.6 * start / record.n_samples, stage="reading beats")
        end = min(start + size, record.n_samples)
        if ((peaks >= start) & (peaks < end)).any():
            pieces.append(_piece_shapes(record, leads, peaks, (start, end)))
    return _joined(pieces)


def from_shapes(
    shapes: BeatShapes, *, rhythm_source: IntArray, sampling_rate_hz: float, clusters: Clusters
) -> BeatInputs:
    """Normalised by the patient's own ordinary beat, tokenised, with rhythm and similarity.

    rhythm_source: (n_beats,) R peaks in `sampling_rate_hz`.
    """
    found = measured(shapes, rhythm_source=rhythm_source, sampling_rate_hz=sampling_rate_hz)
    return found.with_words(clusters)


def measured(
    shapes: BeatShapes, *, rhythm_source: IntArray, sampling_rate_hz: float
) -> MeasuredBeats:
    """All of `from_shapes` but the words."""
    usable, ordinary = _usable_and_ordinary(shapes, rhythm_source, sampling_rate_hz)
    unit = _unit(ordinary)[:, None]
    usable &= unit[:, 0] > SMALLEST_HEIGHT_MV
    windows = np.where(usable[..., None], shapes.windows / unit, 0.0).astype(np.float32)
    ordinary = ordinary / unit
    windows = reference_beat.aligned(windows, ordinary)
    rhythm = rhythm_features(rhythm_source, sampling_rate_hz=sampling_rate_hz)
    similarity = reference_beat.similarity(windows, ordinary)
    return MeasuredBeats(
        points=np.nan_to_num(shapes.points / unit[:, :, None]),
        kind=shapes.kind,
        waves=shapes.waves,
        windows=windows,
        ordinary=ordinary,
        rhythm=np.hstack([rhythm, alike_features(windows, rhythm, similarity)]),
        similarity=similarity,
        usable=usable,
    )


def ordinary_heights(
    shapes: BeatShapes, *, rhythm_source: IntArray, sampling_rate_hz: float
) -> FloatArray:
    """Height of the ordinary beat's QRS, (n_leads,) mV: the unit that signals are brought to."""
    return _unit(_usable_and_ordinary(shapes, rhythm_source, sampling_rate_hz)[1])


def _unit(ordinary: FloatArray) -> FloatArray:
    return np.maximum(reference_beat.qrs_height(ordinary), np.float32(SMALLEST_HEIGHT_MV))


def _usable_and_ordinary(
    shapes: BeatShapes, rhythm_source: IntArray, sampling_rate_hz: float
) -> tuple[NDArray[np.bool_], FloatArray]:
    usable = np.asarray(np.isfinite(shapes.windows).all(axis=-1))
    step = in_step(rhythm_source, sampling_rate_hz=sampling_rate_hz)
    return usable, _ordinary_beats(shapes.windows, usable, step)


def _ordinary_beats(
    windows: FloatArray, usable: NDArray[np.bool_], step: NDArray[np.bool_]
) -> FloatArray:
    """Over the beats that have all samples of all leads, or lead by lead where those are few.

    (n_leads, 120); zeros for a lead without any beat.
    """
    whole = usable.all(axis=1)
    if whole.sum() >= FEWEST_WHOLE_BEATS:
        return reference_beat.ordinary_beat(windows[whole], step[whole])
    ordinary = np.zeros(windows.shape[1:], dtype=np.float32)
    for lead, there in enumerate(usable.T):
        if there.any():
            chosen = windows[there, lead][:, None]
            ordinary[lead] = reference_beat.ordinary_beat(chosen, step[there])[0]
    return ordinary


def _piece_shapes(
    record: EcgRecord, leads: ChosenLeads, peaks: IntArray, core: tuple[int, int]
) -> BeatShapes:
    rate_hz = record.sampling_rate_hz
    margin = round(MARGIN_S * rate_hz)
    first, last = max(0, core[0] - margin), min(record.n_samples, core[1] + margin)
    raw = np.stack([np.asarray(record.signal[lead, first:last]) for lead in leads.rows])
    clean = filtering.denoised(raw.astype(np.float32), sampling_rate_hz=rate_hz)
    clean = _smoothed(resampled(clean, from_hz=rate_hz, to_hz=SAMPLING_RATE_HZ))
    near = peaks[(peaks >= first) & (peaks < last)]
    kept = np.flatnonzero((near >= core[0]) & (near < core[1]))
    at = indices_at_rate(
        near - first, from_hz=rate_hz, to_hz=SAMPLING_RATE_HZ, n_samples=clean.shape[1]
    )
    waves = wave_intervals(at, n_samples=clean.shape[1], sampling_rate_hz=SAMPLING_RATE_HZ)
    own = waves_of_beats(waves, n_beats=len(at))[kept]
    return BeatShapes(
        windows=reference_beat.windows(clean, at[kept]),
        points=wave_points(clean, waves),
        kind=waves.kind,
        waves=own,
    )


def _smoothed(signal: FloatArray) -> FloatArray:
    """Means of three neighbours: the low pass before every third sample is taken."""
    padded = np.pad(signal, ((0, 0), (1, 1)), mode="edge")
    smooth: FloatArray = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / np.float32(3)
    return smooth


def _joined(pieces: list[BeatShapes]) -> BeatShapes:
    if len(pieces) == 1:
        return pieces[0]
    shifts = np.cumsum([0, *(len(piece.kind) for piece in pieces)])
    waves = [
        np.where(piece.waves >= 0, piece.waves + shift, -1)
        for piece, shift in zip(pieces, shifts[:-1], strict=True)
    ]
    return BeatShapes(
        windows=np.concatenate([piece.windows for piece in pieces]),
        points=np.concatenate([piece.points for piece in pieces], axis=1),
        kind=np.concatenate([piece.kind for piece in pieces]),
        waves=np.concatenate(waves),
    )
