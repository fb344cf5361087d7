"""What a model family says of itself to those who must not load torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class OptionSpec:
    """One prediction option: its default, what it may be, and what it does."""

    default: Any
    choices: tuple[Any, ...]
    description: str


@dataclass(frozen=True)
class FamilySpec:
    """A family's task and what it needs of a record.

    min_duration_s: shorter records are refused with 422.
    required_leads: by standard name; empty when any ECG lead will do.
    """

    family: str
    task: str
    labels: tuple[str, ...]
    min_duration_s: float
    required_leads: tuple[str, ...] = ()
    options: dict[str, OptionSpec] = field(default_factory=dict)
