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
    "classes with e and j in N, paced records left out. Fitted to DS1 alone; every choice was "
    "made by patient-wise cross-validation inside DS1. DS2 was opened before for four earlier "
    "models, and what three of those got wrong there, told in words, is why the cross-validation "
    "was made harder and why V and F were looked at in it; no figure, signal or answer of DS2 "
    "chose anything of this one."
)
LIMITS = (
    "Research use only: not a medical device, and not for diagnosis or treatment.",
    "Trained on 22 half-hour records of 22 patients from one hospital's laboratory (1975-1979), "
    "two ambulatory leads, 360 Hz; other leads, recorders and populations may be read worse.",
    "Paced rhythms, ventricular flutter and fibrillation were not among the training labels.",
    "S beats are few (944 in training, most of them from four patients) and are told least well, "
    "above all in atrial fibrillation.",
    "F and Q beats are too few to be told reliably, and next to never answered.",
    "Wide ordinary QRS (bundle branch block) may be called V, and S in atrial fibrillation and "
    "flutter is often false.",
)
TRIALS_SAID = (
    "The left-out records as they are, cut to 5 minutes and to one, with most of their ordinary "
    "beats taken out (thinned), and put together again as rhythms that DS1 has not. Balanced: "
    "every patient with ten beats of the class counts as if with sixty. Per cent; 0 where a trial "
    "has no such beat."
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
    scores: Scores | None,
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
            "method": (
                "one scale and a bias a class, fitted to held-out patients of DS1; V and F then "
                "shifted where the composite of those patients is higher"
            ),
            "scale": round(calibration.scale, 4),
            "bias": [round(bias, 4) for bias in calibration.bias],
        },
        **_measured(scores),
        "limits": list(LIMITS),
        "intended_use": "Research use only.",
        "data": DATA,
        "license": "Apache-2.0",
    }


def _measured(scores: Scores | None) -> dict[str, Any]:
    if scores is None:
        return {"metrics": {}}
    by_peaks = {
        "annotated_r_peaks": scores.annotated_peaks,
        "own_r_peaks": scores.detected_peaks,
    }
    return {"metrics": {"cross_validation_ds1": by_peaks}, "trials_ds1": scores.trials}


def write_card_text(folder: Path, card: dict[str, Any]) -> None:
    """CARD.md beside card.json, saying the same in sentences and tables."""
    (folder / "CARD.md").write_text(card_text(card))


def card_text(card: dict[str, Any]) -> str:
    """CARD.md of a card."""
    lines = [f"# {card['name']}", "", "**Research use only.**", "", card["protocol"], ""]
    for title, by_peaks in card["metrics"].items():
        lines += _tables(title.replace("_", " "), by_peaks)
    lines += _trials(card["trials_ds1"]) if "trials_ds1" in card else []
    if "test_report" in card:
        lines += ["## DS2 in full", "", "```", card["test_report"], "```", ""]
    if "seeds" in card:
        lines += ["## Five seeds on DS2", "", card["seeds"], ""]
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


def _trials(found: dict[str, Any]) -> list[str]:
    lines = ["## Trials of left-out patients of DS1", "", TRIALS_SAID, ""]
    lines += ["| read as | S F1 | V F1 | S balanced | V balanced |", "|---|---|---|---|---|"]
    for name, figures in found["trials"].items():
        row = (figures[key] for key in ("s", "v", "s_balanced", "v_balanced"))
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(f"{v}" for v in row) + " |")
    whole = found["composite"], found["real"], found["made"]
    return [*lines, "", "Composite {}, of {} (real) and {} (made).".format(*whole), ""]


def _hyperparameters(recipe: Recipe) -> dict[str, Any]:
    numbers = asdict(recipe)
    numbers.pop("network")
    return numbers
