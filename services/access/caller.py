"""Who calls, and what they may do: the project that all they see belongs to, and their scopes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.errors import NotPermitted

DEFAULT_PROJECT = "default"
SHARED_PROJECT = "*"  # of what comes with the code: every project sees it, no key can be of it


class Scope(StrEnum):
    """What an API key may be good for. None implies another."""

    READ = "read"
    PREDICT = "predict"
    TRAIN = "train"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True)
class Caller:
    """A request's owner: everything it makes, lists or finds is of its project alone."""

    project_id: str
    scopes: frozenset[Scope]
    key_id: str | None = None

    def require(self, any_of: Iterable[str]) -> None:
        """Raises NotPermitted, which names the missing scope, unless one of these is held."""
        wanted = [Scope(name) for name in any_of]
        if wanted and self.scopes.isdisjoint(wanted):
            held = ", ".join(sorted(self.scopes)) or "none"
            raise NotPermitted(
                f"this needs an API key with the scope {' or '.join(wanted)}; this one has: {held}"
            )


LOCAL_CALLER = Caller(DEFAULT_PROJECT, ALL_SCOPES)
