"""What a model family says of itself to those who must not load torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.errors import UnusableInput


@dataclass(frozen=True)
class OptionSpec:
    """One prediction option: its default, what it may be, and what it does."""

    default: Any
    choices: tuple[Any, ...]
    description: str


@dataclass(frozen=True)
class Hyperparameter:
    """One number or choice of a fine-tune: its default, what it may be, and what it does.

    The default's type is the type: bool, int, float (an int is taken too) or str. Numbers lie in
    [minimum, maximum]; everything else is one of `choices` (a bool needs none).
    """

    default: bool | float | str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()

    @property
    def allowed(self) -> str:
        """What it may be, for a person."""
        if isinstance(self.default, bool):
            return "true or false"
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        kind = "a number" if isinstance(self.default, float) else "a whole number"
        return f"{kind} from {self.minimum} to {self.maximum}"

    def accepts(self, value: Any) -> bool:
        """Whether a run may be given this value; never true of NaN or infinity."""
        if isinstance(self.default, bool) or isinstance(value, bool):
            return isinstance(self.default, bool) and isinstance(value, bool)
        if self.choices or isinstance(self.default, str):
            return type(value) is type(self.default) and value in self.choices
        if not isinstance(value, int if isinstance(self.default, int) else int | float):
            return False
        low, high = self.minimum, self.maximum
        return (low is None or value >= low) and (high is None or value <= high)


# of every fine-tune: how patients are divided, and where randomness starts
SPLIT_HYPERPARAMETERS = {
    "seed": Hyperparameter(0, "of everything that is drawn", minimum=0, maximum=2**31 - 1),
    "validation_share": Hyperparameter(
        0.15, "of the patients: they choose the epoch, and calibrate", minimum=0.02, maximum=0.4
    ),
    "test_share": Hyperparameter(
        0.2, "of the patients: training never sees them, the report is of them", 0.02, 0.4
    ),
    "folds": Hyperparameter(
        0,
        "cross-validation before the training itself, over all patients but those of the test: so "
        "many more trainings, whose metrics are in the card; 0 is none",
        choices=(0, *range(2, 11)),
    ),
}


# of families whose parts may stand still for a while
FREEZE_LENGTH = {
    "freeze_epochs": Hyperparameter(
        0,
        "epochs that what is frozen stands still; 0 is for the whole run, unless freeze_updates",
        minimum=0,
        maximum=1000,
    ),
    "freeze_updates": Hyperparameter(
        0,
        "updates that it stands still; where freeze_epochs is given too, until both are over",
        minimum=0,
        maximum=1_000_000,
    ),
}


def chosen_hyperparameters(
    known: Mapping[str, Hyperparameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Every hyperparameter of a family: the given ones, defaults for the others.

    UnusableInput with one entry for each that is unknown or outside its range.
    """
    errors = [
        {"loc": ["hyperparameters", name], "msg": _objection(known, name, value)}
        for name, value in given.items()
        if name not in known or not known[name].accepts(value)
    ]
    if errors:
        raise UnusableInput("; ".join(str(error["msg"]) for error in errors), errors=errors)
    chosen = {name: each.default for name, each in known.items()} | dict(given)
    return {
        name: float(value) if isinstance(known[name].default, float) else value
        for name, value in chosen.items()
    }


def _objection(known: Mapping[str, Hyperparameter], name: str, value: Any) -> str:
    if name not in known:
        return f"there is no hyperparameter {name[:60]!r}; there are {', '.join(sorted(known))}"
    return f"{name} must be {known[name].allowed}, not {str(value)[:60]!r}"


@dataclass(frozen=True)
class FamilySpec:
    """A family's task and what it needs of a record.

    min_duration_s: shorter records are refused with 422.
    required_leads: by standard name; empty when any ECG lead will do.
    hyperparameters: what a fine-tune may choose; empty for a family that cannot be fine-tuned.
    """

    family: str
    task: str
    labels: tuple[str, ...]
    min_duration_s: float
    required_leads: tuple[str, ...] = ()
    options: dict[str, OptionSpec] = field(default_factory=dict)
    hyperparameters: dict[str, Hyperparameter] = field(default_factory=dict)
