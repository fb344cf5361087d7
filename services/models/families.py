"""Family name -> the code of that family; the one list of implementations (loads torch)."""

from __future__ import annotations

from services.models.ecgbert.family import FAMILY as ECGBERT
from services.models.interface import ModelFamily

FAMILIES: dict[str, ModelFamily] = {ECGBERT.spec.family: ECGBERT}
