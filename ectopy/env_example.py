"""Prints `.env.example`: every setting, what it is for, and its default."""

from __future__ import annotations

import sys
import textwrap

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from services.settings import Settings

HEAD = """\
# Every setting of Ectopy with its default. Copy this to `.env`, and take the `#` from the lines
# that you change. `make serve` sets the addresses of database and broker by itself.
"""
WIDTH = 98


def env_example() -> str:
    prefix = Settings.model_config.get("env_prefix", "")
    entries = [
        f"{comment(field)}\n#{prefix}{name.upper()}={default(field)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([HEAD, *entries])


def comment(field: FieldInfo) -> str:
    return textwrap.fill(
        field.description or "", WIDTH, initial_indent="# ", subsequent_indent="# "
    )


def default(field: FieldInfo) -> str:
    """As one would write it; nothing for a setting that is not set."""
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "" if value is None else str(value)


if __name__ == "__main__":
    sys.stdout.write(env_example())
