"""DeepECG as one ModelFamily."""

from __future__ import annotations

from pathlib import Path

from services.errors import Unavailable
from services.models import weights
from services.models.deepecg.card import CARD, read_card
from services.models.deepecg.fine_tuning import fine_tuned
from services.models.deepecg.importing import WEIGHTS
from services.models.deepecg.inference import RiskPredictor
from services.models.deepecg.network import empty_network
from services.models.deepecg.spec import FAMILY_SPEC
from services.models.spec import FamilySpec


class DeepEcgFamily:
    """The five-year risk of atrial fibrillation from a 12-lead ECG."""

    spec: FamilySpec = FAMILY_SPEC

    def load(self, folder: Path, *, device: str) -> RiskPredictor:
        """A predictor from weights.safetensors and card.json.

        Raises Unavailable for a missing file, MalformedInput for one that is not what it should be.
        """
        for name in (WEIGHTS, CARD):
            if not (folder / name).is_file():
                raise Unavailable(f"the model folder has no {name}; import the model again")
        card = read_card(folder / CARD)
        network = empty_network(card.network)
        weights.load_strictly(network, folder / WEIGHTS)
        return RiskPredictor(network.eval(), card, device=device)

    fine_tune = staticmethod(fine_tuned)


FAMILY = DeepEcgFamily()
