"""What a trained beat model says of itself: card.json, and CARD.md for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.ecg.labels import AAMI_CLASSES
from services.models.ecgbert.calibration import Calibration
from services.models.ecgbert.scoring import Scores
from services.models.ecgbert.spec import FAMILY, TASK
from services.models.ecgbert.training import Recipe

NAME = "ecgbert-beats"
PROTOCOL = (
    "Inter-patient split of de Chazal et al. (IEEE Trans Biomed Eng 51:1196, 2004), AAMI EC57 "
    "classes with e and j in N, paced records left out. Fitted to DS1 alone; every choice was made "
    "by patient-wise cross-validation inside DS1; nothing of DS2 was used."
)
LIMITS = (
    "Research use only: not a medical device, and not for diagnosis or treatment.",
    "Trained on 22 half-hour records of 22 patients from one hospital's laboratory (1975-1979), "
    "two ambulatory leads, 360 Hz; other leads, recorders and populations may be read worse.",
    "Paced rhythms, ventricular flutter and fibrillation were not among the training labels.",
    "S beats are few (944 in training, most of them from four patients) and are told least well, "
    "above all in atrial fibrillation.",
    "F and Q beats are too few to be told reliably.",
)
DATA = (
    "MIT-BIH Arrhythmia Database 1.0.0: Moody GB, Mark RG, IEEE Eng in Med and Biol 20(3):45-50 "
    "(2001); PhysioNet: Goldberger et al., Circulation 101(23):e215-e220 (2000). "
    "Open Data Commons Attribution License v1.0. https://physionet.org/content/mitdb/1.0.0/"
)


def default_card(
    recipe: Recipe,
    *,
    records: Sequence[str],
    seed: int,
    scores: Scores,
    calibration: Calibration,
) -> dict[str, Any]:
    """card.json of the default model."""
    return {
        "name": NAME,
        "task": TASK,
        "family": FAMILY,
        "labels": list(AAMI_CLASSES),
        "granularity": "wave",
        "architecture": recipe.network.as_card(),
        "base": None,
        "training_records": list(records),
        "protocol": PROTOCOL,
        "seed": seed,
        "hyperparameters": _hyperparameters(recipe),
        "calibration": {
            "method": "one scale and a bias a class, fitted to held-out patients of DS1",
            "scale": round(calibration.scale, 4),
            "bias": [round(bias, 4) for bias in calibration.bias],
        },
        "metrics": {
            "cross_validation_ds1": {
                "annotated_r_peaks": scores.annotated_peaks,
                "own_r_peaks": scores.detected_peaks,
            }
        },
        "limits": list(LIMITS),
        "intended_use": "Research use only.",
        "data": DATA,
        "license": "Apache-2.0",
    }


def write_card_text(folder: Path, card: dict[str, Any]) -> None:
    """CARD.md beside card.json, saying the same in sentences and tables."""
    (folder / "CARD.md").write_text(card_text(card))


def card_text(card: dict[str, Any]) -> str:
    """CARD.md of a card."""
    lines = [f"# {card['name']}", "", "**Research use only.**", "", card["protocol"], ""]
    for title, by_peaks in card["metrics"].items():
        lines += _tables(title.replace("_", " "), by_peaks)
    lines += ["## Limits", "", *(f"- {limit}" for limit in card["limits"]), ""]
    lines += ["## Training", "", f"Records: {' '.join(card['training_records'])}. "]
    lines += [f"Seed {card['seed']}. Architecture, numbers of the run: `card.json`.", ""]
    lines += ["## Data", "", card["data"], ""]
    return "\n".join(lines)


def _tables(title: str, by_peaks: dict[str, Any]) -> list[str]:
    lines = [f"## {title[0].upper()}{title[1:]}", ""]
    for peaks, figures in by_peaks.items():
        lines += [
            f"From {peaks.replace('_r_peaks', '')} R peaks, beats within 150 ms, per cent:",
            "",
        ]
        lines += ["| class | Se | +P | F1 |", "|---|---|---|---|"]
        for name in AAMI_CLASSES:
            row = (figures[key][name] for key in ("sensitivity", "positive_predictivity", "f1"))
            lines.append(
                f"| {name} | " + " | ".join("-" if v is None else f"{v}" for v in row) + " |"
            )
        macro, error = figures["macro_f1_n_s_v"], figures["expected_calibration_error"]
        lines += ["", f"Macro-F1 over N, S, V: {macro}. Expected calibration error: {error}.", ""]
    return lines


def _hyperparameters(recipe: Recipe) -> dict[str, Any]:
    numbers = asdict(recipe)
    numbers.pop("network")
    return numbers
