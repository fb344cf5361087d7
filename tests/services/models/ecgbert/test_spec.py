from __future__ import annotations

from services.models.catalog import FAMILY_SPECS
from services.models.ecgbert import spec


def test_the_ids_are_the_guides() -> None:
    assert spec.TOKEN_OFFSETS == (0, 12, 31, 45)
    assert spec.CLUSTERS_PER_WAVE == (12, 19, 14, 25)
    assert (spec.UNUSED_ID, spec.CLS_ID, spec.SEP_ID, spec.MASK_ID, spec.PAD_ID) == (
        70,
        71,
        72,
        73,
        74,
    )
    assert spec.VOCABULARY_SIZE == 75


def test_the_window_is_one_second_at_120_hz_with_r_at_its_point() -> None:
    assert (spec.WINDOW_POINTS, spec.R_POINT, spec.WINDOW_RATE_HZ) == (120, 48, 120.0)


def test_the_catalog_has_the_family_with_the_aami_labels() -> None:
    assert FAMILY_SPECS["ecgbert"].labels == ("N", "S", "V", "F", "Q")
    assert FAMILY_SPECS["ecgbert"].task == "beats"
