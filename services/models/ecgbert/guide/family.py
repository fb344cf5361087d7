"""The guide's ECGBERT as one ModelFamily."""

from __future__ import annotations

from pathlib import Path

from services.models.ecgbert.guide.fine_tuning import fine_tuned
from services.models.ecgbert.guide.inference import GuidePredictor
from services.models.ecgbert.guide.model_folder import read_model_folder
from services.models.ecgbert.guide.spec import FAMILY_SPEC
from services.models.spec import FamilySpec


class GuideFamily:
    """Beat labels by the guide's own network, from one or two ECG leads."""

    spec: FamilySpec = FAMILY_SPEC

    def load(self, folder: Path, *, device: str) -> GuidePredictor:
        """A predictor from a model folder; errors as `read_model_folder` raises them."""
        network, clusters, labels = read_model_folder(folder)
        return GuidePredictor(network, clusters, labels, device=device)

    fine_tune = staticmethod(fine_tuned)


FAMILY = GuideFamily()
