"""Lead names and the leads that follow from others."""

from __future__ import annotations

import numpy as np
import pytest

from services.ecg import leads


@pytest.mark.parametrize(
    ("written", "standard"),
    [
        ("II", "II"),
        ("ii", "II"),
        (" Lead II ", "II"),
        ("ECG lead V5", "V5"),
        ("ECG_V5", "V5"),
        ("AVR", "aVR"),
        ("avf", "aVF"),
        ("DII", "II"),
        ("MLII", "MLII"),
        ("ML2", "MLII"),
        ("C3", "V3"),
        ("ECG 1", "ECG 1"),  # the first channel, which need not be lead I
        ("ECG", "ECG"),
        ("lead", "lead"),
        ("something else", "something else"),
        ("", ""),
    ],
)
def test_spellings_are_brought_together(written: str, standard: str) -> None:
    assert leads.standard_name(written) == standard


def test_a_modified_lead_is_known_by_the_one_it_resembles() -> None:
    assert leads.similar_standard_lead("ML II") == "ML II"
    assert leads.similar_standard_lead("mlii") == "II"
    assert leads.similar_standard_lead("MCL1") == "V1"
    assert leads.similar_standard_lead("V2") == "V2"


@pytest.mark.parametrize("name", ["RESP", "Resp A", "PLETH", "ABP", "EEG Fpz", "EMG", "SpO2"])
def test_channels_beside_the_ecg_are_told_apart(name: str) -> None:
    assert not leads.is_ecg_name(name)


@pytest.mark.parametrize("name", ["II", "MLII", "V", "ECG", "aVR", "sig 0, fmt 8", ""])
def test_ecg_leads_and_unknown_names_count_as_ecg(name: str) -> None:
    assert leads.is_ecg_name(name)


def test_repeated_and_missing_names_become_distinct() -> None:
    names = leads.distinct_names(["ECG", "ECG", "", "ii", "ECG"])
    assert names == ("ECG", "ECG #2", "lead 3", "II", "ECG #3")


def test_standard_leads_are_found_wherever_they_are() -> None:
    assert leads.lead_indices(["V6", "x", "avl", "I", "V6"]) == {"I": 3, "aVL": 2, "V6": 0}
    assert list(leads.lead_indices(leads.STANDARD_12[::-1])) == list(leads.STANDARD_12)


def test_limb_leads_are_missing_only_without_i_and_ii() -> None:
    chest = ["V1", "V2", "V3", "V4", "V5"]
    assert leads.missing_leads(["I", "II", *chest]) == ("V6",)
    assert leads.missing_leads(["I", *chest, "V6"]) == ("II", "III", "aVR", "aVL", "aVF")


def test_derived_leads_obey_einthoven_and_goldberger() -> None:
    lead_i = np.array([1.0, 0.0, 0.5], dtype=np.float32)
    lead_ii = np.array([0.0, 2.0, 1.5], dtype=np.float32)
    derived = leads.derived_limb_leads(lead_i, lead_ii)
    np.testing.assert_array_equal(derived["III"], [-1.0, 2.0, 1.0])
    np.testing.assert_array_equal(derived["aVR"], [-0.5, -1.0, -1.0])
    np.testing.assert_array_equal(derived["aVL"], [1.0, -1.0, -0.25])
    np.testing.assert_array_equal(derived["aVF"], [-0.5, 2.0, 1.25])
    assert tuple(derived) == leads.DERIVED_LIMB_LEADS
    assert all(lead.dtype == np.float32 for lead in derived.values())
