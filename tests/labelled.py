"""Records with reference beats or with twelve leads, and archives of many of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np

from services.ecg.annotation_files import symbol_bytes
from services.ecg.record import FloatArray, IntArray
from tests.signals import UNITS_PER_MV, made_ecg

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def rhythm(seed: int, *, duration_s: float = 20.0, n_leads: int = 2) -> tuple[FloatArray, IntArray]:
    """A rhythm of its own for each seed."""
    rate_bpm = 55.0 + seed * 7 % 40
    gains = tuple(np.linspace(1.2, 0.5, n_leads).tolist())
    return made_ecg(
        duration_s=duration_s,
        heart_rate_bpm=rate_bpm,
        lead_gains_mv=gains,
        seed=seed,
        uneven_s=0.06,
    )


def wfdb(
    name: str,
    signal: FloatArray,
    *,
    leads: tuple[str, ...] = ("MLII", "V1"),
    rate_hz: float = 360.0,
    units_per_mv: int = UNITS_PER_MV,
) -> dict[str, bytes]:
    """Header and samples in storage format 16; the name may have folders before it."""
    n_leads, n_samples = signal.shape
    plain = name.rsplit("/", 1)[-1]
    lines = [f"{plain} {n_leads} {rate_hz:g} {n_samples}"]
    lines += [f"{plain}.dat 16 {units_per_mv}(0)/mV 16 0 0 0 0 {lead}" for lead in leads[:n_leads]]
    counts = np.round(signal * units_per_mv).astype("<i2")
    return {
        f"{name}.hea": ("\n".join(lines) + "\n").encode(),
        f"{name}.dat": np.ascontiguousarray(counts.T).tobytes(),
    }


def atr(peaks: IntArray, *, every_v: int = 5, rate_hz: float = 360.0) -> bytes:
    """Beats N, each `every_v`-th a V."""
    symbols = ["V" if n % every_v == every_v - 1 else "N" for n in range(len(peaks))]
    return symbol_bytes(peaks, symbols=symbols, notes=[""] * len(peaks), sampling_rate_hz=rate_hz)


def beats_record(name: str, seed: int, *, duration_s: float = 20.0) -> dict[str, bytes]:
    """`.hea`, `.dat` and `.atr` of a record with a rhythm of its own."""
    signal, peaks = rhythm(seed, duration_s=duration_s)
    return wfdb(name, signal) | {f"{name}.atr": atr(peaks)}


def twelve_leads(name: str, seed: int, *, duration_s: float = 10.0) -> dict[str, bytes]:
    signal, _ = rhythm(seed, duration_s=duration_s, n_leads=12)
    return wfdb(name, signal, leads=TWELVE)


def archive(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return packed.getvalue()
