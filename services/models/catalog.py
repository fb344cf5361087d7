"""Task -> what its family says of itself, for whoever must not load torch."""

from __future__ import annotations

from services.models.ecgbert.spec import FAMILY_SPEC as ECGBERT
from services.models.spec import FamilySpec

TASKS = ("beats", "afib-5y")

FAMILY_SPECS: dict[str, FamilySpec] = {ECGBERT.family: ECGBERT}

HOW_TO_GET = {
    "beats": "Run `ectopy migrate`: it registers the models that come with Ectopy.",
    "afib-5y": (
        "Its weights (wcr_afib_5y.pt) may not be redistributed, so none come with Ectopy, and this "
        "version cannot import them yet."
    ),
}
