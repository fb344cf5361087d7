"""A tiny network, clusters and predictor, and records to try them on."""

from __future__ import annotations

import numpy as np
import torch

from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import EcgRecord, IntArray
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.inference import BeatPredictor
from services.models.ecgbert.network import BeatNetwork, NetworkConfig
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE, TOKEN_POINTS
from tests.signals import made_ecg

TINY = NetworkConfig(width=8, layers=1, heads=2, feed_forward=8, signal_width=4)


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
