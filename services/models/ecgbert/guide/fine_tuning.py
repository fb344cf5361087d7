"""Weights of one's own from labelled records, by the guide's steps; see FineTunable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.errors import UnusableInput
from services.models.ecgbert.guide.model_folder import Base, read_base, write_model_folder
from services.models.ecgbert.guide.preparation import SentencePlan, prepared_sentences
from services.models.ecgbert.guide.spec import FAMILY
from services.models.ecgbert.guide.training import (
    GuideRecipe,
    new_network,
    recipe,
    trained_classifier,
)
from services.models.ecgbert.spec import TASK
from services.models.interface import FineTunePlan, LabelledRecords
from services.training.engine import Outcome
from services.training.progress import Progress

NAME = "ecgbert-guide"
PREPARED = 0.2  # of the whole work's progress
LIMITS = (
    "Research use only: not a medical device, and not for diagnosis or treatment.",
    "Fitted to one dataset's records; other recorders and populations may be read worse.",
)


def fine_tuned(  # noqa: PLR0913 - the arguments of FineTunable
    train: LabelledRecords,
    validation: LabelledRecords,
    *,
    plan: FineTunePlan,
    workspace: Path,
    out: Path,
    device: str,
    progress: Progress,
) -> dict[str, Any]:
    """See services.models.interface.FineTunable. Without a base it starts from drawn weights."""
    chosen = recipe(plan.hyperparameters)
    base = read_base(plan.base) if plan.base is not None else None
    keep_head = _keeps_head(plan, base, chosen)
    network = new_network(
        chosen, seed=plan.seed, base=base.tensors if base else None, keep_head=keep_head
    )
    own_clusters = base.clusters if base and chosen.clusters == "base" else None
    fitted, judged, clusters = prepared_sentences(
        train,
        validation,
        SentencePlan(chosen.labels, chosen.granularity, own_clusters, plan.seed),
        folder=workspace / "sentences",
        progress=_Part(progress, 0.0, PREPARED),
    )
    outcome = trained_classifier(
        network,
        fitted,
        judged,
        chosen,
        seed=plan.seed,
        workspace=workspace / "run",
        device=device,
        progress=_Part(progress, PREPARED, 1.0),
        checkpoint_every_s=plan.checkpoint_every_s,
    )
    card = model_card(plan, chosen, base, outcome)
    write_model_folder(out, network=network.cpu(), clusters=clusters, card=card)
    return card


def model_card(
    plan: FineTunePlan, chosen: GuideRecipe, base: Base | None, outcome: Outcome
) -> dict[str, Any]:
    """card.json of a model of this family."""
    best = outcome.history[outcome.best_epoch - 1]
    return {
        "name": NAME if base is None or not base.predicts else base.card["name"],
        "task": TASK,
        "family": FAMILY,
        "labels": list(chosen.labels),
        "granularity": chosen.granularity,
        "architecture": chosen.config.as_card(),
        "seed": plan.seed,
        "hyperparameters": dict(plan.hyperparameters) | {"head": plan.head},
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "metrics": {"validation": {**best["metrics"], "training_loss": best["loss"]}},
        "calibration": None,
        "limits": list(LIMITS),
        "intended_use": "Research use only.",
    }


def _keeps_head(plan: FineTunePlan, base: Base | None, chosen: GuideRecipe) -> bool:
    """Whether the base's head is gone on with; the public weights have none, so it is new there."""
    if base is None or not base.predicts or plan.head == "reset":
        return False
    if tuple(base.card.get("labels", ())) != chosen.labels:
        raise UnusableInput(
            f"the base tells {', '.join(base.card.get('labels', ()))}; for "
            f"{', '.join(chosen.labels)} ask for head: reset"
        )
    return True


class _Part:
    """A stretch of the whole progress."""

    def __init__(self, whole: Progress, first: float, last: float) -> None:
        self._whole, self._first, self._last = whole, first, last
        self.event, self.check_cancelled = whole.event, whole.check_cancelled

    def advance(self, fraction: float, *, stage: str = "") -> None:
        self._whole.advance(self._first + (self._last - self._first) * fraction, stage=stage)
