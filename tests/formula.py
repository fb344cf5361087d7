"""Full-size stand-ins for the public DeepECG checkpoints, every weight from a formula."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import SHARED
from tests.faults import eventually

KIT = SHARED / "reference" / "deepecg"


def formula_checkpoint(name: str, folder: Path) -> Path:
    """`wcr_afib_5y.pt` or `base_ssl.pt`, some 360 MB; skips where the formula is not here."""
    if not (KIT / "formula_weights.py").is_file():
        pytest.skip("the parity kit (../shared/reference/deepecg) is not here")
    file = folder / f"{name}.pt"
    manifest = KIT / f"{name}.keys.json"
    command = [sys.executable, str(KIT / "formula_weights.py"), str(manifest), "--out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file


def brought_in(client: httpx.Client, file: Path, **fields: str) -> dict[str, Any]:
    """The version that a checkpoint becomes over HTTP."""
    with file.open("rb") as opened:
        answer = client.post("/v1/models/import", files={"file": (file.name, opened)}, data=fields)
    if answer.status_code == 202:  # a slow machine
        where = answer.headers["location"]
        eventually(lambda: client.get(where).json()["model"], within_s=300)
        model = client.get(where).json()["model"]
        answer = client.get(f"/v1/models/{model['name']}/versions/{model['version']}")
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found
