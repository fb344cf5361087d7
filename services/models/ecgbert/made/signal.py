"""A patient's own beats put together again at other times: signals of rhythms never recorded.

Each beat, from before its P wave to the end of its T wave, is cut out of the cleaned signal and
laid where a made rhythm wants it; what overlaps adds up, as a P wave does on the T wave before it.
All beats of a made record are laid alike, ordinary and ectopic, so that nothing of the making tells
one from the other. Early atrial beats are ordinary ones with another P wave; ventricular ones are
the patient's own, or made of ordinary ones where a rhythm says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ecg import filtering
from services.ecg.labels import AAMI_CLASSES, aami_class_indices
from services.ecg.record import Annotations, EcgRecord, FloatArray, IntArray
from services.models.ecgbert.made.blocks import BlockForm, blocked, ventricular
from services.models.ecgbert.rhythm import in_step

NORMAL, EARLY, VENTRICULAR, FIBRILLATING = "N", "A", "V", "f"
BLOCKED, EARLY_BLOCKED = "R", "a"  # NORMAL and EARLY, conducted through one bundle branch alone
FEWEST_BEATS = 30
FEWEST_VENTRICULAR = 15
MOST_CUT = 600  # beats of a kind, evenly chosen: memory

BEFORE_S, AFTER_S = 0.30, 0.48  # what is cut out around R: P wave to the end of the T wave
ROOM_S = 0.5  # intervals before and after, so that no neighbour is cut out as well
_EDGE_S = 0.05  # over which a cut fades in and out
_P_FADE_S, _P_TO_S = 0.09, 0.06  # before R: up to here a P wave is taken away, and it fades
_P_PLACE_S = (0.11, 0.2)
_P_HEIGHT = (-0.14, 0.16)  # of the QRS's height; near 0 hides it
_P_WIDTH_S = (0.014, 0.03)
_WAVE_HZ = (4.0, 8.0)  # fibrillatory waves
_WAVE_MV = (0.02, 0.09)
_WAVE_DRIFT, _DRIFT_S = 0.15, 0.4  # of their pace, and how often it is drawn
_NOISE_SHARE = 0.7  # of what the beats differ by where they are flat
_SMOOTH = 20  # samples: half of the noise is this slow
_LEAD_IN_S, _LEAD_OUT_S = 0.5, 1.2
_ENDS = 8  # samples at either end of a cut whose mean is its baseline


@dataclass(frozen=True)
class BeatBank:
    """What a record offers: its ordinary and its ventricular beats, (n, n_leads, points) mV.

    usual_rr_s: median interval before ordinary beats. noise_mv: how much they differ where flat.
    """

    record: EcgRecord
    normal: FloatArray
    ventricular: FloatArray
    usual_rr_s: float
    noise_mv: float

    @property
    def has_ventricular(self) -> bool:
        """Whether ventricular beats can be made."""
        return len(self.ventricular) >= FEWEST_VENTRICULAR


@dataclass(frozen=True)
class MadeRhythm:
    """kind: one of NORMAL, EARLY, VENTRICULAR, FIBRILLATING, BLOCKED, EARLY_BLOCKED a beat.

    interval_s: before each. own_ventricular: whether ventricular beats are the patient's, or made
    of ordinary ones.
    """

    kind: tuple[str, ...]
    interval_s: NDArray[np.float64]
    own_ventricular: bool = True


def beat_bank(record: EcgRecord) -> BeatBank | None:
    """The beats of an annotated record; None where too few are ordinary. No gaps in the signal."""
    rate_hz = record.sampling_rate_hz
    peaks, label = _annotated(record)
    clean = filtering.denoised(record.signal, sampling_rate_hz=rate_hz)
    interval_s = np.diff(peaks, prepend=peaks[:1] - round(rate_hz)) / rate_hz
    following_s = np.append(interval_s[1:], 1.0)
    reach = round((BEFORE_S + AFTER_S) * rate_hz)
    inside = (peaks > reach) & (peaks < record.n_samples - reach)
    normal, ventricular = (label == AAMI_CLASSES.index(name) for name in "NV")
    alone = np.append(True, normal[:-1]) & np.append(normal[1:], True)
    ordinary = normal & alone & inside & in_step(peaks, sampling_rate_hz=rate_hz)
    roomy = ordinary & (interval_s > ROOM_S) & (following_s > ROOM_S)
    chosen = roomy if roomy.sum() >= FEWEST_BEATS else ordinary
    if chosen.sum() < FEWEST_BEATS:
        return None
    cut = _cut(clean, _some(peaks[chosen]), rate_hz)
    flat = cut[..., : round(0.08 * rate_hz)]
    return BeatBank(
        record=record,
        normal=cut,
        ventricular=_cut(clean, _some(peaks[ventricular & inside]), rate_hz),
        usual_rr_s=float(np.median(interval_s[chosen])),
        noise_mv=float(np.median(np.abs(flat - np.median(flat, axis=0)))),
    )


def made_record(
    bank: BeatBank, rhythm: MadeRhythm, rng: np.random.Generator, *, block: BlockForm = blocked
) -> EcgRecord:
    """A record with this rhythm and its annotations, at the bank's rate and with its leads.

    block: what makes a blocked beat of an ordinary one.
    """
    rate_hz = bank.record.sampling_rate_hz
    at_s = np.cumsum(rhythm.interval_s) + _LEAD_IN_S
    at = np.rint(at_s * rate_hz).astype(np.int64)
    n_samples = int(at[-1]) + round(_LEAD_OUT_S * rate_hz)
    kind = np.array(rhythm.kind)
    beats = bank.normal[rng.integers(len(bank.normal), size=len(kind))]
    early = (kind == EARLY) | (kind == EARLY_BLOCKED)
    fibrillating, wide = (kind == k for k in (FIBRILLATING, VENTRICULAR))
    slow = (kind == BLOCKED) | (kind == EARLY_BLOCKED)
    beats[early] = _with_other_p_wave(beats[early], rate_hz, rng)
    time_s = np.arange(beats.shape[-1]) / rate_hz - BEFORE_S
    if slow.any():
        beats[slow] = block(beats[slow], time_s, rng)
    beats[fibrillating] = _without_p_wave(beats[fibrillating], rate_hz)
    if wide.any() and not rhythm.own_ventricular:
        beats[wide] = ventricular(_without_p_wave(beats[wide], rate_hz), time_s, rng)
    elif wide.any():
        beats[wide] = bank.ventricular[rng.integers(len(bank.ventricular), size=int(wide.sum()))]
    signal = _laid(beats, at - round(BEFORE_S * rate_hz), n_samples)
    signal += _noise(signal.shape, _NOISE_SHARE * bank.noise_mv, rng)
    if fibrillating.any():
        where = np.interp(np.arange(n_samples) / rate_hz, at_s, fibrillating.astype(np.float64))
        signal += where * _fibrillatory(signal.shape, rate_hz, rng)
    symbols = tuple(NORMAL if k == FIBRILLATING else str(k) for k in kind)
    return EcgRecord(
        signal=signal.astype(np.float32),
        lead_names=bank.record.lead_names,
        sampling_rate_hz=rate_hz,
        name=bank.record.name,
        annotations=Annotations(at, symbols),
    )


def _annotated(record: EcgRecord) -> tuple[IntArray, IntArray]:
    assert record.annotations is not None  # noqa: S101 - callers read annotated records
    label = aami_class_indices(record.annotations.symbol)
    return record.annotations.sample[label >= 0], label[label >= 0]


def _some(peaks: IntArray) -> IntArray:
    return peaks[:: max(1, -(-len(peaks) // MOST_CUT))]


def _cut(clean: FloatArray, peaks: IntArray, rate_hz: float) -> FloatArray:
    """(n, n_leads, points): the ends brought to zero by a straight line, and faded."""
    offsets = np.arange(-round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz))
    beats = clean[:, peaks[:, None] + offsets].transpose(1, 0, 2)
    first = beats[..., :_ENDS].mean(axis=-1, keepdims=True)
    last = beats[..., -_ENDS:].mean(axis=-1, keepdims=True)
    edge = round(_EDGE_S * rate_hz)
    fade = np.ones(len(offsets))
    fade[:edge] = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / edge)
    fade[-edge:] = fade[:edge][::-1]
    level = first + (last - first) * np.linspace(0.0, 1.0, len(offsets))
    return np.asarray((beats - level) * fade, dtype=np.float32)


def _kept(points: int, rate_hz: float) -> NDArray[np.float64]:
    """0 where the P wave is, 1 from shortly before the QRS on, (points,)."""
    before_r_s = BEFORE_S - np.arange(points) / rate_hz
    return np.asarray(np.clip((_P_FADE_S - before_r_s) / (_P_FADE_S - _P_TO_S), 0.0, 1.0))


def _without_p_wave(beats: FloatArray, rate_hz: float) -> FloatArray:
    return np.asarray(beats * _kept(beats.shape[-1], rate_hz), dtype=np.float32)


def _with_other_p_wave(beats: FloatArray, rate_hz: float, rng: np.random.Generator) -> FloatArray:
    """One other form for all: ectopic beats of a patient mostly come from one place."""
    points = beats.shape[-1]
    middle = round(BEFORE_S * rate_hz)
    around_r = round(0.1 * rate_hz)
    height = np.ptp(beats[..., middle - around_r : middle + around_r], axis=-1, keepdims=True)
    place = middle - rng.uniform(*_P_PLACE_S) * rate_hz
    width = rng.uniform(*_P_WIDTH_S) * rate_hz
    bump = np.exp(-0.5 * ((np.arange(points) - place) / width) ** 2)
    wave = height * rng.uniform(*_P_HEIGHT, size=(1, beats.shape[1], 1)) * bump
    kept = _kept(points, rate_hz)
    return np.asarray(beats * kept + wave * (1 - kept), dtype=np.float32)


def _laid(beats: FloatArray, start: IntArray, n_samples: int) -> NDArray[np.float64]:
    """The beats added up where each starts, (n_leads, n_samples)."""
    where = start[:, None] + np.arange(beats.shape[-1])
    there = (where >= 0) & (where < n_samples)
    return np.stack(
        [
            np.bincount(where[there], weights=beats[:, lead][there], minlength=n_samples)
            for lead in range(beats.shape[1])
        ]
    )


def _noise(shape: tuple[int, ...], level: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """White and slower noise, `level` the spread of each."""
    white, slow = rng.normal(0, level, (2, *shape))
    mean = np.ones(_SMOOTH) / np.sqrt(_SMOOTH)
    return np.asarray(white + np.stack([np.convolve(lead, mean, "same") for lead in slow]))


def _fibrillatory(
    shape: tuple[int, ...], rate_hz: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Waves whose pace drifts, of one height a lead."""
    n_leads, n_samples = shape
    time_s = np.arange(n_samples) / rate_hz
    knots_s = np.arange(0.0, time_s[-1] + 2 * _DRIFT_S, _DRIFT_S)
    drift = np.interp(time_s, knots_s, rng.normal(0, 1, len(knots_s)))
    pace_hz = rng.uniform(*_WAVE_HZ) * np.exp(_WAVE_DRIFT * drift)
    phase = 2 * np.pi * np.cumsum(pace_hz) / rate_hz + rng.uniform(0, 3, (n_leads, 1))
    return np.asarray(rng.uniform(*_WAVE_MV, (n_leads, 1)) * np.sin(phase))
