"""Beat times of a model's training records, written into its folder: by them copies are found."""

from __future__ import annotations

import json
from pathlib import Path

from services.ecg.readers.files import record_from_path
from services.ecg.rhythm_print import beat_times
from services.ecg.training_beats import TRAINING_BEATS, write_training_beats
from services.errors import UnusableInput
from services.registry.service import CARD
from services.training.progress import Progress


def remember_training(records: Path, model: Path, *, progress: Progress) -> Path:
    """The file, of the records that the model's card names under `training_records`.

    records: the folder that they lie in. Raises NotFound for one that is not there, UnusableInput
    for a card that names none.
    """
    names = json.loads((model / CARD).read_text()).get("training_records") or []
    if not names:
        raise UnusableInput(f"the card in {model} names no training_records")
    beats = {}
    for done, name in enumerate(names):
        progress.advance(done / len(names), stage=f"record {name}")
        beats[name] = beat_times(record_from_path(records / name))
    write_training_beats(model / TRAINING_BEATS, beats)
    return model / TRAINING_BEATS
