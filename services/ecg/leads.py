"""Lead names: their spellings, the standard order, and the limb leads that others determine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from services.ecg.record import FloatArray

STANDARD_12 = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
DERIVED_LIMB_LEADS = ("III", "aVR", "aVL", "aVF")

# leads taken at other places on the body that look much like a standard one
MODIFIED_LEADS = MappingProxyType(
    {"MLI": "I", "MLII": "II", "MLIII": "III"} | {f"MCL{i}": f"V{i}" for i in range(1, 7)}
)

_OTHER_LEADS = ("V3R", "V4R", "V5R", "V6R", "V7", "V8", "V9", "Vx", "Vy", "Vz", "V")
_SPELLING = MappingProxyType(
    {name.lower(): name for name in (*STANDARD_12, *MODIFIED_LEADS, *_OTHER_LEADS)}
    | {"di": "I", "dii": "II", "diii": "III", "d1": "I", "d2": "II", "d3": "III"}
    | {"ml1": "MLI", "ml2": "MLII", "ml3": "MLIII", "mod ii": "MLII", "mod.ii": "MLII"}
    | {f"c{i}": f"V{i}" for i in range(1, 7)}
)
_DECORATION = re.compile(r"^(?:ecg|ekg|lead|channel)[ _:.-]+|[ _:.-]+(?:lead|ecg|ekg)$", re.I)

# channels that are often recorded beside an ECG, and often in volts too
_NOT_ECG = re.compile(
    r"^(?:resp|pleth|ppg|abp|art|bp\b|nibp|pap|cvp|icp|uap|pressure|eeg|emg|eog|spo2|sao2|so2"
    r"|co2|etco2|flow|temp|acc|accel|pcg|scg|bcg|sound|stroke|marker|trigger|event)",
    re.I,
)


def standard_name(name: str) -> str:
    """`ECG lead ii` -> `II`; a name that is not known stays as it is, without outer spaces.

    A modified lead keeps its own name (`MLII`): see `similar_standard_lead`.
    """
    text = name.strip()
    bare = text
    while (stripped := _DECORATION.sub("", bare)) not in ("", bare):
        bare = stripped
    return _SPELLING.get(bare.lower(), text)


def similar_standard_lead(name: str) -> str:
    """The standard lead whose view of the heart this one has (`MLII` -> `II`), or the name."""
    known = standard_name(name)
    return MODIFIED_LEADS.get(known, known)


def is_ecg_name(name: str) -> bool:
    """False for channels known to be something else: respiration, pressure, EEG, ..."""
    return not _NOT_ECG.match(name.strip())


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """Standard names, with a number behind those that repeat: `ECG`, `ECG #2`."""
    found: list[str] = []
    for position, raw in enumerate(names, start=1):
        name = standard_name(raw) or f"lead {position}"
        copies = sum(other == name or other.startswith(f"{name} #") for other in found)
        found.append(f"{name} #{copies + 1}" if copies else name)
    return tuple(found)


def lead_indices(names: Sequence[str]) -> Mapping[str, int]:
    """Where each of the standard 12 leads is; those that are not there have no entry."""
    place: dict[str, int] = {}
    for index, name in enumerate(names):
        if (known := standard_name(name)) in STANDARD_12:
            place.setdefault(known, index)
    return {name: place[name] for name in STANDARD_12 if name in place}


def missing_leads(names: Sequence[str]) -> tuple[str, ...]:
    """The standard leads that are neither there nor determined by I and II."""
    there = lead_indices(names)
    derivable = DERIVED_LIMB_LEADS if {"I", "II"} <= there.keys() else ()
    return tuple(name for name in STANDARD_12 if name not in there and name not in derivable)


def derived_limb_leads(lead_i: FloatArray, lead_ii: FloatArray) -> dict[str, FloatArray]:
    """III, aVR, aVL and aVF from leads I and II (Einthoven, Goldberger); same shape and unit."""
    half = np.float32(0.5)
    return {
        "III": lead_ii - lead_i,
        "aVR": -half * (lead_i + lead_ii),
        "aVL": lead_i - half * lead_ii,
        "aVF": lead_ii - half * lead_i,
    }
