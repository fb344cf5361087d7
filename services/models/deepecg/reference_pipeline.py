"""What the published pipeline does to a batch before the network: scaling and noise removal.

For those who must compare with its scores. Both steps look at the whole batch, so one ECG gets
another answer in another batch; the default of this package does neither. The third reason why its
scores change from call to call, dropout left on, is not reproduced.

Scaling: one factor for the batch, which brings the mean spectral magnitude of lead I to 3.003154.
Noise removal: peaks of lead I's mean spectrum above 20 Hz are found once; in each lead the mean
spectrum's crossings of its smooth baseline, 1 Hz wider, say where each recording's magnitudes are
replaced by a straight line, phases kept. Source: DeepECG_Docker, utils/ecg_signal_processor.py.
"""

from __future__ import annotations

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from services.ecg.record import FloatArray
from services.models.deepecg import spec
from services.models.deepecg.lowess import lowess

Values = NDArray[np.float64]
Band = tuple[float, float]  # from, to, in Hz


def as_published(batch: FloatArray) -> FloatArray:
    """(n, 12, samples) at 250 Hz in any unit -> the same as the published pipeline hands over."""
    return without_peaks(scaled(batch))


def scaled(batch: FloatArray) -> FloatArray:
    """The batch times one factor. A batch whose lead I is zero stays as it is."""
    magnitude = float(_mean_magnitudes(batch[:, 0]).mean())
    factor = spec.REFERENCE_POWER / magnitude if magnitude > 0 else 1.0
    return np.asarray(batch.astype(np.float64) * factor, dtype=np.float32)


def without_peaks(batch: FloatArray) -> FloatArray:
    """The batch with its common narrow-band noise flattened; unchanged where there is no peak."""
    bands = peak_bands(_positive(_mean_magnitudes(batch[:, 0])), _frequencies(batch.shape[-1]))
    if not bands:
        return np.array(batch, dtype=np.float32)
    cleaned = np.empty_like(batch, dtype=np.float32)
    for lead in range(batch.shape[1]):
        widened = flattened_bands(batch[:, lead], bands)
        cleaned[:, lead] = flattened(batch[:, lead], widened)
    return cleaned


def peak_bands(magnitudes: Values, frequencies: Values) -> list[Band]:
    """Bands of neighbouring peaks, in the order in which the sliding window meets them.

    A bin is a peak in a window of 5 Hz that it exceeds by 5 standard deviations, or by 65 % of that
    near 2, 3 or 4 times a peak that was met before. Windows overlap, so a peak is met many times,
    and bands repeat; a band may even run backwards, and is then dropped when it is applied.
    """
    above = frequencies >= spec.PEAK_LOWEST_HZ
    values, at = magnitudes[above], frequencies[above]
    size = int(spec.PEAK_WINDOW_HZ / (frequencies[1] - frequencies[0]))
    harmonic = np.zeros(len(at), dtype=bool)
    met: list[int] = []
    for first in range(len(at) - size + 1):
        window = values[first : first + size]
        mean, deviation = window.mean(), window.std()
        lenient = mean + spec.PEAK_DEVIATIONS * spec.HARMONIC_LENIENCY * deviation
        for place in first + np.flatnonzero(window > lenient):
            strict = mean + spec.PEAK_DEVIATIONS * deviation
            if values[place] > (lenient if harmonic[place] else strict):
                met.append(int(place))
                for ratio in spec.HARMONICS:
                    near = spec.HARMONIC_TOLERANCE * ratio * at[place]
                    harmonic |= np.abs(at - ratio * at[place]) <= near
    return _merged(met, at)


def flattened_bands(lead: FloatArray, bands: list[Band]) -> list[Band]:
    """Each band from crossing to crossing of the lead's baseline, 1 Hz wider on either side.

    lead: (n, samples), one lead of the batch.
    """
    frequencies = _frequencies(lead.shape[-1])
    above = frequencies >= spec.BASELINE_LOWEST_HZ
    at = frequencies[above]
    values = _positive(_mean_magnitudes(lead))[above]
    smooth = scipy.signal.medfilt(values, kernel_size=spec.BASELINE_MEDIAN_BINS)
    over = np.sign(values - lowess(smooth, at, share=spec.BASELINE_SHARE))
    crossing = np.flatnonzero(over[:-1] * over[1:] < 0)  # between this bin and the next
    widened = []
    for start, end in dict.fromkeys(bands):
        middle = int(np.argmin(np.abs(at - (start + end) / 2)))
        before, after = crossing[crossing < middle], crossing[crossing >= middle]
        low = at[before[-1] + 1] if len(before) else start
        high = at[after[0]] if len(after) else end
        widened.append((float(low) - spec.WIDENED_HZ, float(high) + spec.WIDENED_HZ))
    return widened


def flattened(lead: FloatArray, bands: list[Band]) -> FloatArray:
    """Magnitudes inside each band become a straight line between its ends; phases stay.

    lead: (n, samples). The line is drawn between the magnitudes of the recording itself.
    """
    samples = lead.shape[-1]
    spectrum = np.fft.rfft(lead.astype(np.float64), axis=-1)
    magnitude, phase = np.abs(spectrum), np.angle(spectrum)
    at = _frequencies(samples)
    for start, end in dict.fromkeys(bands):
        first = int(np.searchsorted(at, start, side="left"))
        last = min(int(np.searchsorted(at, end, side="right")) - 1, len(at) - 1)
        if start < end and first < last:
            share = np.linspace(0.0, 1.0, last - first + 1)
            ends = magnitude[:, first, None], magnitude[:, last, None]
            line = ends[0] + (ends[1] - ends[0]) * share
            inside = slice(first, last + 1)
            spectrum[:, inside] = line * np.exp(1j * phase[:, inside])
    return np.asarray(np.fft.irfft(spectrum, n=samples, axis=-1), dtype=np.float32)


def _merged(met: list[int], at: Values) -> list[Band]:
    """Peaks in the order met; a new band starts where the next one is more than 1 Hz higher."""
    bands: list[Band] = []
    for position, place in enumerate(met):
        if position and at[place] - at[met[position - 1]] <= spec.PEAK_MERGE_HZ:
            bands[-1] = (bands[-1][0], float(at[place]))
        else:
            bands.append((float(at[place]), float(at[place])))
    return bands


def _frequencies(samples: int) -> Values:
    """Frequencies of the bins from 0 to just below half the sampling rate."""
    bins = np.arange(samples // 2, dtype=np.float64)
    return bins * np.float64(spec.SAMPLING_RATE_HZ / samples)


def _mean_magnitudes(lead: FloatArray) -> Values:
    """Mean over recordings of the two-sided spectrum's magnitudes: (n, samples) -> (samples,)."""
    spectra = np.abs(np.fft.fft(lead.astype(np.float64), axis=-1))
    return np.asarray(spectra.mean(axis=0), dtype=np.float64)


def _positive(magnitudes: Values) -> Values:
    return magnitudes[: len(magnitudes) // 2]
