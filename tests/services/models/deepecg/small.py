"""A small network of the same kind, files in the published layouts around it, and 12-lead ECGs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.ecg.leads import STANDARD_12, derived_limb_leads
from services.ecg.record import EcgRecord, FloatArray
from services.models.deepecg.checkpoint import PREFIX, pretraining_shapes
from services.models.deepecg.network import NetworkConfig, RiskNetwork
from tests.signals import made_ecg

SMALL = NetworkConfig(
    conv_channels=8,
    width=16,
    layers=2,
    heads=2,
    feed_forward=32,
    position_kernel=8,
    position_groups=2,
)
CHEST_GAINS = (0.4, 0.7, 1.1, 1.3, 1.0, 0.8)


def small_network(seed: int = 0, config: NetworkConfig = SMALL) -> RiskNetwork:
    torch.manual_seed(seed)
    network = RiskNetwork(config).eval()
    with torch.no_grad():
        network.proj.weight.mul_(4)  # spreads the logits of different recordings
        network.encoder.conv_pos.conv().weight_g.uniform_(0.5, 1.5)
    return network


def classifier_tensors(network: RiskNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def base_tensors(network: RiskNetwork) -> dict[str, Tensor]:
    backbone = {
        name.removeprefix(PREFIX): tensor.clone()
        for name, tensor in network.state_dict().items()
        if name.startswith(PREFIX)
    }
    shapes = pretraining_shapes(network.config)
    return backbone | {name: torch.ones(shape) for name, shape in shapes.items()}


def saved(path: Path, model: dict[str, Tensor], **more: Any) -> Path:
    """A training checkpoint around a state dict."""
    torch.save({"args": None, "cfg": {"model": {"num_labels": 1}}, "model": model, **more}, path)
    return path


def twelve_lead_signal(
    *,
    duration_s: float = 10.0,
    sampling_rate_hz: float = 250.0,
    heart_rate_bpm: float = 72.0,
    seed: int = 0,
) -> FloatArray:
    """(12, n_samples) mV in the standard order, the limb leads as I and II determine them."""
    made, _ = made_ecg(
        duration_s=duration_s,
        sampling_rate_hz=sampling_rate_hz,
        heart_rate_bpm=heart_rate_bpm,
        lead_gains_mv=(0.7, 1.0, *CHEST_GAINS),
        seed=seed,
    )
    limb = {"I": made[0], "II": made[1], **derived_limb_leads(made[0], made[1])}
    return np.stack([limb[name] for name in STANDARD_12[:6]] + list(made[2:]))


def twelve_lead_record(**made: Any) -> EcgRecord:
    rate = made.get("sampling_rate_hz", 250.0)
    return EcgRecord(
        signal=twelve_lead_signal(**made), lead_names=STANDARD_12, sampling_rate_hz=rate
    )
