"""Family name -> the code of that family; the one list of implementations (loads torch)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.models.deepecg.family import FAMILY as DEEPECG
from services.models.deepecg.importing import import_public as import_deepecg
from services.models.ecgbert.family import FAMILY as ECGBERT
from services.models.ecgbert.guide.family import FAMILY as ECGBERT_GUIDE
from services.models.ecgbert.public.pretrained_folder import import_public as import_ecgbert
from services.models.interface import FineTunable, Importer, ModelFamily
from services.models.model_archive import ARCHIVE, WEIGHTS, unpacked_model
from services.models.weights import stored_tensors

FAMILIES: dict[str, ModelFamily] = {
    ECGBERT.spec.family: ECGBERT,
    ECGBERT_GUIDE.spec.family: ECGBERT_GUIDE,
    DEEPECG.spec.family: DEEPECG,
}


def import_archive(file: Path, *, into: Path, name: str | None) -> dict[str, Any]:
    """The model of an archive that a download gave, its weights held against its card."""
    card = unpacked_model(file, into=into, name=name)
    if card.get("predicts", True):
        FAMILIES[card["family"]].load(into, device="cpu")
    else:
        stored_tensors(into / WEIGHTS)
    return card


# task -> what makes a model folder of a published file; and of an archive of ours, for any task
IMPORTERS: dict[str, Importer] = {
    ARCHIVE: import_archive,
    DEEPECG.spec.task: import_deepecg,
    ECGBERT_GUIDE.spec.task: import_ecgbert,
}

# family name -> the family, where it can be fine-tuned
FINE_TUNABLE: dict[str, FineTunable] = {
    ECGBERT.spec.family: ECGBERT,
    ECGBERT_GUIDE.spec.family: ECGBERT_GUIDE,
    DEEPECG.spec.family: DEEPECG,
}
