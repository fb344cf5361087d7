"""A short `make chaos`: parts killed under load, nothing lost, nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from reliability.chaos import SETTINGS, chaos
from reliability.service import Trial


@pytest.mark.slow
def test_nothing_is_lost_when_parts_are_killed(tmp_path: Path) -> None:
    trial = Trial(tmp_path, **SETTINGS)
    try:
        assert chaos(trial, rounds=4, clients=2, seed=5) == []
    finally:
        trial.stop()
