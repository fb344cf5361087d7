"""The guide's pipeline as a function of a program: four steps from records to a fine-tuned model.

from ectopy.ecgbert import run_finetuning

figures = run_finetuning(
    mitdb_path="mitdb",
    pretrained_model_path="pretrained",
    clustering_dir="clustering_models/0.1",
    output_dir="fine_tune_output",
    binary_classification=False,
    task_name="Heartbeat_Classification",
)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.errors import UnusableInput
from services.models.ecgbert.stages.settings import Mode, StageSettings

Location = str | os.PathLike[str]


def run_finetuning(  # noqa: PLR0913 - the guide's own signature
    mitdb_path: Location,
    pretrained_model_path: Location | None = None,
    clustering_dir: Location | None = None,
    output_dir: Location = "fine_tune_output",
    binary_classification: bool = False,
    task_name: str = "Heartbeat_Classification",
    *,
    mode: str = Mode.DEFAULT,
    hyperparameters: Mapping[str, Any] | None = None,
    jobs: int = 0,
    device: str = "auto",
    **settings: Any,
) -> dict[str, Any]:
    """Preprocessing, segmentation, sentences and fine-tuning; returns `results/metrics.json`.

    mitdb_path: folder of records, MIT-BIH's or any others that are read and annotated.
    pretrained_model_path: a file, or a folder in which the guide's order is followed, or a base of
    `ectopy ecgbert pretrain`; None starts from random weights. clustering_dir: a clusters.npz, or a
    folder with it or with the four public files; None takes the base's, or fits them to the
    patients that train. Files go to `{output_dir}/{task_name}`; the same call goes on where an
    interrupted one was. mode: `default`, or `reference` for the original's arithmetic.
    hyperparameters: of services.models.ecgbert.guide.spec. settings: of StageSettings (test_size,
    seed, validation, leave_out, rpeaks, allow_missing_classes, pickle).

    Raises the errors of services.errors before any record is worked on: NotFound, MalformedInput,
    UnusableInput, NotPermitted.
    """
    from ectopy.commands.bars import progress_bar
    from services.models.ecgbert.stages.finetuning import FineTuneRequest, fine_tune
    from worker.devices import device_for

    if mode not in list(Mode):
        raise UnusableInput(f"mode is {mode!r}; expected {' or '.join(Mode)}")
    unknown = set(settings) - set(StageSettings.__dataclass_fields__)
    if unknown:
        raise UnusableInput(f"there is no setting {', '.join(sorted(unknown))}")
    request = FineTuneRequest(
        records=Path(mitdb_path),
        output_dir=Path(output_dir),
        task_name=task_name,
        pretrained=_path(pretrained_model_path),
        clustering=_path(clustering_dir),
        settings=StageSettings(mode=Mode(mode), binary=binary_classification, **settings),
        hyperparameters=hyperparameters or {},
    )
    with progress_bar() as progress:
        return fine_tune(request, jobs=jobs, device=device_for(device), progress=progress)


def _path(given: Location | None) -> Path | None:
    return None if given is None else Path(given)
