"""What a process loads, and which room may know which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "sklearn", "neurokit2", "matplotlib", "pandas")


def modules_after(statement: str) -> set[str]:
    """What a fresh process has loaded after a statement."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import api.main", "import services.predictions.service"])
def test_the_gateway_loads_nothing_of_the_models(statement: str) -> None:
    assert not modules_after(statement) & set(HEAVY)


def test_the_gateway_knows_nothing_of_the_worker() -> None:
    assert not {name for name in modules_after("import api.main") if name.startswith("worker")}


def test_rooms_look_only_where_they_may() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [str(tool), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
