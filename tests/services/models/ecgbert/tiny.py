"""A tiny network, clusters and predictor, and records to try them on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import wfdb

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import EcgRecord, IntArray
from services.models.ecgbert.augmentation import Augmentation
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.inference import BeatPredictor
from services.models.ecgbert.made.rhythms import MadePlan
from services.models.ecgbert.network import BeatNetwork, NetworkConfig
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE, TOKEN_POINTS
from services.models.ecgbert.training import Recipe
from services.training.loop import FitPlan
from tests.signals import made_ecg

TINY = NetworkConfig(width=8, layers=1, heads=2, feed_forward=8, signal_width=4)
QUICK = Recipe(
    network=NetworkConfig(layers=1),
    augmentation=Augmentation(one_lead=0.2),
    plan=FitPlan(steps=60, average_decay=0.9),
    batch=64,
    made=MadePlan(programmes=1, fibrillation=1, blocks=1, bigeminy=1),
)


def tiny_clusters() -> Clusters:
    rng = np.random.default_rng(0)
    return Clusters(tuple(rng.normal(0, 0.3, (n, TOKEN_POINTS)) for n in CLUSTERS_PER_WAVE))


def tiny_network(config: NetworkConfig = TINY) -> BeatNetwork:
    torch.manual_seed(0)
    return BeatNetwork(config).eval()


def tiny_predictor() -> BeatPredictor:
    return BeatPredictor(tiny_network(), tiny_clusters(), AAMI_CLASSES, device="cpu")


def made_record(
    *, duration_s: float = 20.0, sampling_rate_hz: float = 360.0, n_leads: int = 2, seed: int = 0
) -> tuple[EcgRecord, IntArray]:
    gains = (1.2, -0.7, 0.9)[:n_leads]
    signal, peaks = made_ecg(
        duration_s=duration_s, sampling_rate_hz=sampling_rate_hz, lead_gains_mv=gains, seed=seed
    )
    names = ("MLII", "V1", "V5")[:n_leads]
    return EcgRecord(signal, names, sampling_rate_hz), peaks


def write_record(folder: Path, name: str, *, seed: int) -> None:
    """One made record in which every fifth beat is wide, tall and called V."""
    record, peaks = made_record(duration_s=60.0, seed=seed)
    signal = record.signal.copy()
    symbols = ["N"] * len(peaks)
    time = np.arange(-60, 61)
    wide = 1.5 * np.exp(-0.5 * (time / 18.0) ** 2).astype(np.float32)
    for place in range(3, len(peaks) - 1, 5):
        signal[:, peaks[place] - 60 : peaks[place] + 61] += np.array([[1.0], [-1.0]]) * wide
        symbols[place] = "V"
    wfdb.wrsamp(
        name, fs=360, units=["mV"] * 2, sig_name=["MLII", "V1"], p_signal=signal.T.astype(float),
        fmt=["16"] * 2, write_dir=str(folder),
    )  # fmt: skip
    wfdb.wrann(name, "atr", peaks, symbols, fs=360, write_dir=str(folder))
