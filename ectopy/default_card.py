"""What DS2 says of the default model, written into its card: figures, tables, spread over seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ectopy.ec57 import Ec57, evaluate, spread_text
from services.ecg.labels import DS2
from services.models.ecgbert.cards import write_card_text
from services.models.ecgbert.model_folder import write_card
from services.models.ecgbert.tested import tested
from services.models.model_archive import CARD
from services.training.progress import Progress


def holds_all(mitdb: Path, records: Sequence[str] = DS2) -> bool:
    """Whether the folder has the header of each of these records."""
    return all((mitdb / f"{name}.hea").is_file() for name in records)


def write_test(
    models: Sequence[Path], mitdb: Path, *, progress: Progress, records: Sequence[str] = DS2
) -> list[Ec57]:
    """Tests the models on DS2 and puts the figures into the first one's card.

    models: folders of the same recipe, one a seed; the spread is told where there are several.
    Returns the tables from own R peaks, one a model.
    """
    own, annotated = (
        [
            evaluate(mitdb, model, records, annotated_peaks=given, progress=progress)
            for model in models
        ]
        for given in (False, True)
    )
    found = tested(models[0], mitdb, records, progress=progress)
    card = json.loads((models[0] / CARD).read_text())
    card["metrics"]["ds2"] = {
        "annotated_r_peaks": found.annotated_peaks,
        "own_r_peaks": found.detected_peaks,
    }
    card["test_report"] = (
        f"OWN R PEAKS\n\n{own[0].as_text()}\n\n\nANNOTATED R PEAKS\n\n{annotated[0].as_text()}"
    )
    card.pop("seeds", None)
    if len(models) > 1:
        card["seeds"] = (
            f"From own R peaks. {spread_text(own)}\n\n"
            f"From annotated R peaks. {spread_text(annotated)}"
        )
    write_card(models[0], card)
    write_card_text(models[0], card)
    return own
