"""What card.json says of a version: architecture, input, threshold, calibration, source."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from services.errors import MalformedInput
from services.models.deepecg import calibration, spec
from services.models.deepecg.calibration import Calibration
from services.models.deepecg.network import NetworkConfig
from services.models.deepecg.windows import WindowSpec

CARD = "card.json"
EVIDENCE = (
    "The published pipeline and the fine-tuning data are 2500 samples at 250 Hz (10 s), millivolts "
    "(raw counts x 0.00488), leads I, II, III, aVR, aVL, aVF, V1-V6. 5 s at 500 Hz is the "
    "convention of another model of the same framework."
)
_LARGEST = 8192  # of any whole number in the architecture of a card


@dataclass(frozen=True)
class RiskCard:
    """The parts of a card that a prediction depends on."""

    network: NetworkConfig
    window: WindowSpec
    threshold: float
    threshold_source: str
    calibration: Calibration
    synthetic: bool


@dataclass(frozen=True)
class Start:
    """What a fine-tune needs to know of the version that it starts from."""

    name: str
    network: NetworkConfig
    window: WindowSpec
    has_head: bool
    synthetic: bool
    source: dict[str, Any]


def new_card(
    *,
    name: str,
    network: NetworkConfig,
    source: dict[str, Any],
    synthetic: bool,
) -> dict[str, Any]:
    """The card of an imported classifier, to be written as card.json."""
    return {
        "name": name,
        "task": spec.TASK,
        "family": spec.FAMILY,
        "labels": list(spec.FAMILY_SPEC.labels),
        "synthetic": synthetic,
        "architecture": network.as_card(),
        "input": {**WindowSpec().as_card(), "leads": list(spec.LEADS), "evidence": EVIDENCE},
        "threshold": {"value": spec.THRESHOLD, "source": spec.THRESHOLD_SOURCE},
        "calibration": None,
        "source": source,
        "limits": [
            "Research use only, not a medical device.",
            "Learned from resting 10 s ECGs of adults at one hospital; no other site's calibration "
            "is known.",
        ],
    }


def base_card(
    *, name: str, network: NetworkConfig, source: dict[str, Any], synthetic: bool
) -> dict[str, Any]:
    """The card of the imported pre-trained model: where a fine-tune may start, no predictor."""
    return {
        "name": name,
        "task": spec.TASK,
        "family": spec.FAMILY,
        "predicts": False,
        "synthetic": synthetic,
        "architecture": network.as_card(),
        "source": source,
        "limits": ["It has no head and gives no risk; a fine-tune may start from it."],
    }


def read_card(path: Path) -> RiskCard:
    """Raises MalformedInput naming the entry that is not what it should be."""
    card = _read(path)
    threshold = card.get("threshold")
    if not isinstance(threshold, dict) or not _within(threshold.get("value"), 0.0, 1.0):
        raise MalformedInput(f"{path.name}: threshold.value must lie between 0 and 1")
    return RiskCard(
        network=_network(card.get("architecture")),
        window=_window(card.get("input")),
        threshold=float(threshold["value"]),
        threshold_source=str(threshold.get("source", "this version's card")),
        calibration=calibration.from_card(card.get("calibration")),
        synthetic=card["synthetic"],
    )


def read_start(path: Path) -> Start:
    """Of a classifier's card or the pre-trained model's. Raises MalformedInput as `read_card`."""
    card = _read(path)
    has_head = bool(card.get("predicts", True))
    source = card.get("source")
    return Start(
        name=str(card.get("name", "")),
        network=_network(card.get("architecture")),
        window=_window(card.get("input")) if has_head else WindowSpec(),
        has_head=has_head,
        synthetic=card["synthetic"],
        source=source if isinstance(source, dict) else {},
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text())
    except ValueError as problem:
        raise MalformedInput(f"{path.name}: not JSON: {problem}") from problem
    if not isinstance(card, dict) or card.get("family") != spec.FAMILY:
        raise MalformedInput(f"{path.name}: family must be {spec.FAMILY!r}")
    if not isinstance(card.get("synthetic"), bool):
        raise MalformedInput(f"{path.name}: synthetic must be true or false")
    return card


def _network(stored: Any) -> NetworkConfig:
    known = {field.name: str(field.type) for field in fields(NetworkConfig)}
    kinds: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool}
    if not isinstance(stored, dict) or set(stored) - set(known):
        raise MalformedInput(f"{CARD}: architecture may hold {', '.join(known)} only")
    for name, value in stored.items():
        if not isinstance(value, kinds[known[name]]) or not 0 <= value <= _LARGEST:
            raise MalformedInput(f"{CARD}: architecture.{name} is {value!r}")
    return NetworkConfig(**stored)


def _window(stored: Any) -> WindowSpec:
    if not isinstance(stored, dict) or tuple(stored.get("leads", ())) != spec.LEADS:
        raise MalformedInput(f"{CARD}: input.leads must be {', '.join(spec.LEADS)}")
    limits = {"sampling_rate_hz": (50.0, 2000.0), "window_s": (1.0, 60.0), "scale": (1e-6, 1e6)}
    for name, (least, most) in limits.items():
        if not _within(stored.get(name), least, most):
            raise MalformedInput(f"{CARD}: input.{name} must lie between {least:g} and {most:g}")
    return WindowSpec(**{name: float(stored[name]) for name in limits})


def _within(value: Any, least: float, most: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and least <= value <= most
