"""All four steps in a row: a folder of records in, a model and its figures out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from services.errors import UnusableInput
from services.models import weights
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.model_folder import WEIGHTS, write_model_folder
from services.models.ecgbert.guide.network import GuideClassifier
from services.models.ecgbert.guide.sentences import stored_sentences
from services.models.ecgbert.guide.spec import FAMILY
from services.models.ecgbert.guide.training import (
    GuideRecipe,
    new_network,
    recipe,
    trained_classifier,
)
from services.models.ecgbert.public.cluster_files import CLUSTERS_NPZ
from services.models.ecgbert.spec import TASK
from services.models.ecgbert.stages.answers import Answers, default_answers, reference_answers
from services.models.ecgbert.stages.base import Start, start_from
from services.models.ecgbert.stages.finished import NOTE, is_finished, note_digest
from services.models.ecgbert.stages.guide_weights import write_guide_weights
from services.models.ecgbert.stages.preprocessing import Prepared, class_counts, preprocess
from services.models.ecgbert.stages.results import METRICS, write_results
from services.models.ecgbert.stages.segmentation import segment
from services.models.ecgbert.stages.sentences import sentence_files, write_sentences
from services.models.ecgbert.stages.settings import (
    PARTS,
    TRAIN,
    VALIDATION,
    Mode,
    StageRun,
    StageSettings,
    TaskFolder,
)
from services.models.ecgbert.stages.survey import check_trainable, surveyed
from services.training.engine import Outcome
from services.training.progress import Progress
from services.training.seeds import one_thread

VERSION = 1
MODEL, TRAINING = "model", "training"
_RUN_NOTE = "run.json"
_UNUSUAL = re.compile(r"[^a-z0-9.]+")  # in the name of a model
CHOSEN_BY = (
    "The figures are of patients by whom the best epoch was chosen: those of others may be worse."
)
LIMITS = (
    "Research use only: not a medical device, and not for diagnosis or treatment.",
    "Fitted to one folder of records; other recorders and populations may be read worse.",
    CHOSEN_BY,
)


@dataclass(frozen=True)
class FineTuneRequest:
    """What is fine-tuned, from what, and where to.

    pretrained, clustering: as `start_from` takes them. hyperparameters: of
    services.models.ecgbert.guide.spec, the guide's numbers where none is given.
    """

    records: Path
    output_dir: Path
    task_name: str
    pretrained: Path | None = None
    clustering: Path | None = None
    settings: StageSettings = field(default_factory=StageSettings)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def recipe(self, start: Start) -> GuideRecipe:
        """UnusableInput for a hyperparameter that is unknown, out of range, or without a base."""
        given: dict[str, Any] = {"classes": "binary" if self.settings.binary else "aami"}
        if start.granularity is not None:
            given["granularity"] = start.granularity
        if self.settings.mode is Mode.REFERENCE:
            given["shuffle"] = False  # quirk 17
        chosen = recipe({**given, **self.hyperparameters})
        if self.settings.mode is Mode.REFERENCE and chosen.granularity != "wave":
            raise UnusableInput("the reference mode has one token a wave; granularity must be wave")
        return chosen


def fine_tune(
    request: FineTuneRequest, *, jobs: int, device: str, progress: Progress
) -> dict[str, Any]:
    """Runs what is not done yet of the four steps; returns the figures (`results/metrics.json`).

    Everything that is asked for is checked before any record is worked on. Raises what the steps
    raise; called again, it goes on where it was.
    """
    start = start_from(request.pretrained, request.clustering, mode=request.settings.mode)
    chosen = request.recipe(start)
    _new_network(request.settings, start, chosen)  # a base that does not fit says so now
    task = TaskFolder.under(request.output_dir, request.task_name)
    run = StageRun(jobs=jobs, progress=progress, settings=request.settings, task=task)
    records = surveyed(
        request.records, run, leave_out=request.settings.leave_out, outside=task.root
    )
    check_trainable(
        records,
        class_names=request.settings.classes,
        class_counts=lambda record: class_counts(record, request.settings),
        allow_missing=request.settings.allow_missing_classes,
    )
    for record in records:
        if record.beats is None:
            progress.event("left out", {"record": record.name, "reason": "no annotations"})
    prepared = preprocess(records, run)
    segment(prepared, run)
    write_sentences(prepared, run, clusters=start.clusters, granularity=chosen.granularity)
    return _train(prepared, run, start, chosen, device=device)


def _train(
    prepared: Prepared, run: StageRun, start: Start, chosen: GuideRecipe, *, device: str
) -> dict[str, Any]:
    task, settings = run.task, run.settings
    key = {
        "step": 4,
        "version": VERSION,
        "recipe": asdict(chosen),
        "seed": settings.seed,
        "start": start.sha256,
        "pickle": settings.pickle,
        "sentences": note_digest(task.sentence),
    }
    if is_finished(task.results, key):
        figures: dict[str, Any] = json.loads((task.results / METRICS).read_text())
        return figures
    workspace = _workspace(task, key)
    train, validation = (
        [stored_sentences(file) for file in sentence_files(task, part)]
        for part in (TRAIN, VALIDATION)
    )
    reference = settings.mode is Mode.REFERENCE
    network = _new_network(settings, start, chosen)
    with one_thread():
        outcome = trained_classifier(
            network,
            train,
            [] if reference else validation,  # without beats of their own nothing can be chosen by
            chosen,
            seed=settings.seed,
            workspace=workspace,
            device=device,
            progress=run.progress,
        )
        found = (
            reference_answers(network, prepared, validation, task.segmentation, run.progress)
            if reference
            else default_answers(network, validation, run.progress)
        )
    _write_model(run, start, chosen, network.cpu(), outcome)
    figures = _write_figures(prepared, run, found, outcome)
    (task.results / NOTE).write_text(json.dumps(key, indent=2, sort_keys=True) + "\n")
    return figures


def _new_network(settings: StageSettings, start: Start, chosen: GuideRecipe) -> GuideClassifier:
    """With the head of a base that tells the same classes, else with one of its own."""
    keep_head = start.labels == chosen.labels
    return new_network(chosen, seed=settings.seed, base=start.tensors, keep_head=keep_head)


def _workspace(task: TaskFolder, key: Mapping[str, Any]) -> Path:
    """Where checkpoints lie: another run's are dropped, those of fewer epochs gone on with."""
    same = {name: value for name, value in key.items() if name != "pickle"}
    same["recipe"] = {n: v for n, v in key["recipe"].items() if n not in ("epochs", "patience")}
    workspace, note = task.results / TRAINING, task.results / _RUN_NOTE
    (task.results / NOTE).unlink(missing_ok=True)
    stored = json.loads(note.read_text()) if note.is_file() else None
    if stored != json.loads(json.dumps(same)):
        shutil.rmtree(workspace, ignore_errors=True)
        workspace.mkdir(parents=True)
        note.write_text(json.dumps(same, indent=2, sort_keys=True) + "\n")
    return workspace


def _write_model(
    run: StageRun, start: Start, chosen: GuideRecipe, network: GuideClassifier, outcome: Outcome
) -> None:
    """The model folder; of the reference mode weights alone, which the default would misread."""
    folder = run.task.results / MODEL
    shutil.rmtree(folder, ignore_errors=True)
    if run.settings.mode is Mode.REFERENCE:
        folder.mkdir()
        weights.save(network, folder / WEIGHTS)
    else:
        clusters = Clusters.load(run.task.sentence / CLUSTERS_NPZ)
        card = _card(run, start, chosen, outcome)
        write_model_folder(folder, network=network, clusters=clusters, card=card)
    if run.settings.pickle:
        write_guide_weights(network, run.task.results, epochs=outcome.epochs)


def _write_figures(
    prepared: Prepared, run: StageRun, found: Answers, outcome: Outcome
) -> dict[str, Any]:
    more: dict[str, Any] = {
        "mode": prepared.mode.value,
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "history": outcome.history,
        "left_out": sorted(run.settings.leave_out),
        "limits": list(LIMITS),
    }
    if found.tokens is not None:
        more["tokens"] = found.tokens
    return write_results(
        run.task.results,
        prepared,
        found.beats,
        model_name=run.task.task_name,
        cautions=_cautions(prepared),
        more=more,
    )


def _cautions(prepared: Prepared) -> list[str]:
    """Classes that one side of the split has alone."""
    counts = {
        part: np.sum(
            [
                np.bincount(labels[labels >= 0], minlength=len(prepared.classes))
                for labels in (prepared.beats(record)[1] for record in prepared.of_part(part))
            ],
            axis=0,
        )
        for part in PARTS
    }
    told = [CHOSEN_BY]
    for at, name in enumerate(prepared.classes):
        if not counts[TRAIN][at]:
            told.append(f"no patient that trains has a beat of class {name}: it was not learned")
        elif not counts[VALIDATION][at]:
            told.append(f"no patient that validates has a beat of class {name}")
    return told


def _card(run: StageRun, start: Start, chosen: GuideRecipe, outcome: Outcome) -> dict[str, Any]:
    best = outcome.history[outcome.best_epoch - 1]
    return {
        "name": _UNUSUAL.sub("-", run.task.task_name.lower()).strip("-.") or "fine-tuned",
        "task": TASK,
        "family": FAMILY,
        "labels": list(chosen.labels),
        "granularity": chosen.granularity,
        "architecture": chosen.config.as_card(),
        "base": {"name": start.name, "sha256": start.sha256},
        "seed": run.settings.seed,
        "hyperparameters": {
            name: value for name, value in asdict(chosen).items() if name != "classes"
        },
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "metrics": {"validation": {**best["metrics"], "training_loss": best["loss"]}},
        "calibration": None,
        "limits": list(LIMITS),
        "intended_use": "Research use only.",
    }
