"""Task -> what its family says of itself, for whoever must not load torch."""

from __future__ import annotations

from services.models.deepecg.spec import FAMILY_SPEC as DEEPECG
from services.models.deepecg.spec import HOW_TO_GET as DEEPECG_HOW_TO_GET
from services.models.ecgbert.guide.spec import FAMILY_SPEC as ECGBERT_GUIDE
from services.models.ecgbert.spec import FAMILY_SPEC as ECGBERT
from services.models.import_files import ECGBERT_FILES, ONE_CHECKPOINT, ImportFiles
from services.models.spec import FamilySpec

TASKS = ("beats", "afib-5y")

FAMILY_SPECS: dict[str, FamilySpec] = {
    ECGBERT.family: ECGBERT,
    ECGBERT_GUIDE.family: ECGBERT_GUIDE,
    DEEPECG.family: DEEPECG,
}

HOW_TO_GET = {
    "beats": "Run `ectopy migrate`: it registers the models that come with Ectopy.",
    "afib-5y": DEEPECG_HOW_TO_GET,
}

# task -> the files that an import takes
IMPORT_FILES: dict[str, ImportFiles] = {"beats": ECGBERT_FILES, "afib-5y": ONE_CHECKPOINT}
