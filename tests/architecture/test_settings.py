"""Every setting is described, and works as it is."""

from __future__ import annotations

from services.settings import Settings


def test_every_setting_says_what_it_does() -> None:
    missing = [name for name, field in Settings.model_fields.items() if not field.description]
    assert missing == []


def test_defaults_are_enough() -> None:
    assert Settings(_env_file=None).api_host == "127.0.0.1"
