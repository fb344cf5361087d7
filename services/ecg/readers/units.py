"""Units of voltage as they are spelled in files, and the unit that a channel gets here."""

from __future__ import annotations

from types import MappingProxyType

from services.ecg.leads import is_ecg_name
from services.ecg.record import MILLIVOLT

NO_UNIT = "NU"

_MILLIVOLTS_IN = MappingProxyType(
    {"v": 1000.0, "volt": 1000.0, "volts": 1000.0}
    | dict.fromkeys(("mv", "millivolt", "millivolts"), 1.0)
    # the micro sign, the Greek letter, and what ASCII makes of them
    | dict.fromkeys(("uv", "\u00b5v", "\u03bcv", "microvolt", "microvolts"), 1e-3)
    | dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-6)
)


def millivolts_in(unit: str) -> float | None:
    """How many millivolts one such unit is (`uV` -> 0.001); None for what is not a voltage.

    Upper and lower case are not told apart: an ECG in megavolts is a spelling of millivolts.
    """
    return _MILLIVOLTS_IN.get(unit.strip().lower())


def channel_unit(name: str, unit: str | None) -> tuple[str, float]:
    """The unit of the result and the factor to it, for a channel of that name and unit in a file.

    ECG leads are in mV, as is what has no unit. Other channels that are in volts (EEG, respiration)
    get another unit, so that nobody takes them for an ECG: microvolts, or NU without a unit.
    """
    in_millivolts = millivolts_in(unit or MILLIVOLT)
    if in_millivolts is None:
        return unit or NO_UNIT, 1.0
    if is_ecg_name(name):
        return MILLIVOLT, in_millivolts
    return ("uV", in_millivolts * 1000.0) if unit else (NO_UNIT, 1.0)
