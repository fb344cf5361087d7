"""Made ECGs whose beats are known, as arrays and as WFDB files."""

from __future__ import annotations

import numpy as np

from services.ecg.record import FloatArray, IntArray

UNITS_PER_MV = 200
LEADS = ("MLII", "V1", "V2", "V5")

# (seconds after the R peak, width in seconds, size as a share of the R peak): P, Q, R, S, T
_WAVES = (
    (-0.16, 0.020, 0.12),
    (-0.030, 0.008, -0.12),
    (0.0, 0.011, 1.0),
    (0.030, 0.009, -0.18),
    (0.24, 0.040, 0.25),
)


def made_ecg(
    *,
    duration_s: float = 20.0,
    sampling_rate_hz: float = 360.0,
    heart_rate_bpm: float = 72.0,
    lead_gains_mv: tuple[float, ...] = (1.0, 0.6),
    noise_mv: float = 0.02,
    seed: int = 0,
    uneven_s: float = 0.0,
) -> tuple[FloatArray, IntArray]:
    """(n_leads, n_samples) mV, a lead for each gain (the size of its R peaks), and the R peaks.

    uneven_s: standard deviation of the R-R intervals, so that no two seeds have the same rhythm.
    """
    n_samples = round(duration_s * sampling_rate_hz)
    rr_s = 60.0 / heart_rate_bpm
    at_s = np.arange(rr_s / 2, duration_s - 0.3, rr_s)
    if uneven_s:
        steps = np.random.default_rng((seed, 1)).normal(rr_s, uneven_s, 2 * len(at_s))
        at_s = np.cumsum(np.clip(steps, 0.35, 1.8))
        at_s = at_s[at_s < duration_s - 0.3]
    peaks = np.round(at_s * sampling_rate_hz).astype(np.int64)
    beat = np.zeros(n_samples)
    reach = round(0.5 * sampling_rate_hz)  # beyond it every wave is nothing
    for peak in peaks.tolist():
        first, last = max(peak - reach, 0), min(peak + reach, n_samples)
        offset_s = np.arange(first - peak, last - peak) / sampling_rate_hz
        for center_s, width_s, size in _WAVES:
            beat[first:last] += size * np.exp(-0.5 * ((offset_s - center_s) / width_s) ** 2)
    noise = np.random.default_rng(seed).normal(0.0, noise_mv, (len(lead_gains_mv), n_samples))
    signal = np.array(lead_gains_mv)[:, None] * beat + noise
    return signal.astype(np.float32), peaks


def wfdb_files(
    signal: FloatArray, *, sampling_rate_hz: float = 360.0, name: str = "made"
) -> dict[str, bytes]:
    """A record in storage format 16, 200 units a millivolt."""
    n_leads, n_samples = signal.shape
    lines = [f"{name} {n_leads} {sampling_rate_hz:g} {n_samples}"]
    lines += [f"{name}.dat 16 {UNITS_PER_MV}(0)/mV 16 0 0 0 0 {lead}" for lead in LEADS[:n_leads]]
    counts = np.round(signal * UNITS_PER_MV).astype("<i2")
    return {
        f"{name}.hea": ("\n".join(lines) + "\n").encode(),
        f"{name}.dat": np.ascontiguousarray(counts.T).tobytes(),
    }


def made_files(*, duration_s: float = 10.0, seed: int = 0) -> dict[str, bytes]:
    """WFDB files of a made two-lead record at 360 Hz; another seed makes other bytes."""
    return wfdb_files(made_ecg(duration_s=duration_s, seed=seed)[0])
