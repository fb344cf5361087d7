"""Leads as text formats name and measure them: `II (mV)`, a unit for all, or the request's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.ecg.leads import STANDARD_12, distinct_names
from services.ecg.readers.base import ReadHints, needed, shown
from services.ecg.readers.units import channel_unit, millivolts_in
from services.ecg.record import MILLIVOLT
from services.errors import UnusableInput

ASSUMED_LEADS = "no lead is named: the standard order of twelve is assumed"
ASSUMED_UNIT = "no unit is given: millivolts are assumed"

_UNIT_BEHIND = re.compile(r"(.+?)\s*(?:\(([^()]+)\)|\[([^\[\]]+)\]|_([munµμ]?V))", re.IGNORECASE)


@dataclass(frozen=True)
class LeadColumns:
    """Names, units and factors to those units, one a lead; notes on what was taken for granted."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    factors: tuple[float, ...]
    notes: tuple[str, ...]


def lead_columns(
    file_name: str,
    names: Sequence[str],
    *,
    unit: str | None,
    hints: ReadHints,
    named: bool = True,
) -> LeadColumns:
    """Names and units of the leads.

    unit: of all leads, from the file. named: whether the file gives the names; where it does not,
    those of the request are taken, which must be as many. UnusableInput for a unit that is none.
    """
    taken: tuple[str, ...] = ()
    if not named and hints.leads is not None:
        if len(hints.leads) != len(names):
            raise needed(
                "leads",
                f"{shown(file_name)} has {len(names)} leads, {len(hints.leads)} are named in leads",
            )
        names = hints.leads
    elif not named and len(names) == len(STANDARD_12):
        names, taken = STANDARD_12, (ASSUMED_LEADS,)
    split = [_name_and_unit(name) for name in names]
    fallback = unit or hints.units
    if fallback is not None and millivolts_in(fallback) is None:
        problem = f"{shown(file_name)}: '{shown(fallback)}' is no unit of voltage; mV, uV or V is"
        raise UnusableInput(problem) if unit else needed("units", problem)
    placed = [channel_unit(name, own or fallback) for name, own in split]
    assumed = fallback is None and any(
        own is None and found == MILLIVOLT
        for (_, own), (found, _) in zip(split, placed, strict=True)
    )
    return LeadColumns(
        names=distinct_names([name for name, _ in split]),
        units=tuple(found for found, _ in placed),
        factors=tuple(factor for _, factor in placed),
        notes=(*taken, ASSUMED_UNIT) if assumed else taken,
    )


def _name_and_unit(name: str) -> tuple[str, str | None]:
    """`II (mV)` -> (`II`, `mV`); what is behind a name and no voltage is a part of the name."""
    plain = name.strip()
    found = _UNIT_BEHIND.fullmatch(plain)
    if found is None:
        return plain, None
    unit = next(group for group in found.groups()[1:] if group is not None)
    return (found[1], unit) if millivolts_in(unit) is not None else (plain, None)
