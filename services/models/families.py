"""Family name -> the code of that family; the one list of implementations (loads torch)."""

from __future__ import annotations

from services.models.deepecg.family import FAMILY as DEEPECG
from services.models.deepecg.importing import import_public as import_deepecg
from services.models.ecgbert.family import FAMILY as ECGBERT
from services.models.ecgbert.guide.family import FAMILY as ECGBERT_GUIDE
from services.models.ecgbert.public.pretrained_folder import import_public as import_ecgbert
from services.models.interface import FineTunable, Importer, ModelFamily

FAMILIES: dict[str, ModelFamily] = {
    ECGBERT.spec.family: ECGBERT,
    ECGBERT_GUIDE.spec.family: ECGBERT_GUIDE,
    DEEPECG.spec.family: DEEPECG,
}

# task -> what makes a model folder of a published file
IMPORTERS: dict[str, Importer] = {
    DEEPECG.spec.task: import_deepecg,
    ECGBERT_GUIDE.spec.task: import_ecgbert,
}

# family name -> the family, where it can be fine-tuned
FINE_TUNABLE: dict[str, FineTunable] = {
    ECGBERT.spec.family: ECGBERT,
    ECGBERT_GUIDE.spec.family: ECGBERT_GUIDE,
    DEEPECG.spec.family: DEEPECG,
}
