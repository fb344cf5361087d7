"""The version of the code that runs: kept with every result."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache  # it is read from a file
def code_version() -> str:
    """The installed package's version; `0+unknown` in a tree that was never installed."""
    try:
        return version("ectopy")
    except PackageNotFoundError:
        return "0+unknown"
