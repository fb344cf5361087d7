"""Units of voltage as they are spelled in files."""

from __future__ import annotations

from types import MappingProxyType

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
