"""ECGBERT as one ModelFamily."""

from __future__ import annotations

from pathlib import Path

from services.models.ecgbert.fine_tuning import fine_tuned
from services.models.ecgbert.inference import BeatPredictor
from services.models.ecgbert.model_folder import read_model_folder
from services.models.ecgbert.spec import FAMILY_SPEC
from services.models.spec import FamilySpec


class EcgbertFamily:
    """Beat labels from one or two ECG leads."""

    spec: FamilySpec = FAMILY_SPEC

    def load(self, folder: Path, *, device: str) -> BeatPredictor:
        """A predictor from a model folder; errors as `read_model_folder` raises them."""
        network, clusters, labels = read_model_folder(folder)
        return BeatPredictor(network, clusters, labels, device=device)

    fine_tune = staticmethod(fine_tuned)


FAMILY = EcgbertFamily()
