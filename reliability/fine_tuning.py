"""What the trials fine-tune: a small dataset of made records with beats of two kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.ecg.annotation_files import symbol_bytes
from tests.labelled import archive
from tests.services.models.ecgbert.labelled_beats import labelled_record
from tests.signals import wfdb_files

PATIENTS = 7
NAME = "trial-beats"
SHIPPED = "ecgbert-beats"


def dataset_archive() -> bytes:
    """A `.zip` with a record of a minute of each patient: `.hea`, `.dat` and `.atr`."""
    files: dict[str, bytes] = {}
    for number in range(PATIENTS):
        record = labelled_record(number).record
        assert record.annotations is not None
        name = f"p{number}"
        files |= wfdb_files(record.signal, name=name)
        files[f"{name}.atr"] = symbol_bytes(
            record.annotations.sample,
            symbols=list(record.annotations.symbol),
            notes=[""] * len(record.annotations),
            sampling_rate_hz=record.sampling_rate_hz,
        )
    return archive(files)


def dataset_request() -> dict[str, Any]:
    """Arguments of httpx for `POST /v1/datasets`."""
    return {
        "files": {"file": ("trial.zip", dataset_archive())},
        "data": {"name": "trial", "task": "beats"},
    }


def fine_tune_request(
    dataset_id: str, *, epochs: int, seed: int = 0, base: str = SHIPPED
) -> Mapping[str, Any]:
    """Body of `POST /v1/fine-tunes`: a model goes on for exactly so many epochs."""
    return {
        "task": "beats",
        "dataset_id": dataset_id,
        "base": base,
        "name": NAME,
        "hyperparameters": {
            "epochs": epochs,
            "batch": 8,
            "patience": 1000,
            "seed": seed,
        },
    }
