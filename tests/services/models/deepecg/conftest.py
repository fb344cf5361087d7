"""The parity kit: its arrays, and full-size checkpoints that its formula makes, once a session."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from services.models.deepecg.checkpoint import network_from, read_checkpoint
from services.models.deepecg.network import RiskNetwork

KIT = Path(__file__).resolve().parents[5] / "shared" / "reference" / "deepecg"
Golden = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for one another take several times as long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def kit() -> Path:
    if not (KIT / "golden.npz").is_file():
        pytest.skip("the parity kit (../shared/reference/deepecg) is not here")
    return KIT


@pytest.fixture(scope="session")
def golden(kit: Path) -> Golden:
    with np.load(kit / "golden.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def formula(kit: Path) -> Iterator[ModuleType]:
    found = importlib.util.spec_from_file_location("formula_weights", kit / "formula_weights.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    yield module
    sys.modules.pop("formula_weights", None)


Maker = Callable[..., Path]


@pytest.fixture(scope="session")
def made_checkpoint(
    kit: Path, formula: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Maker]:
    """Makes a full-size checkpoint, or gives the one made before; they go when the session ends."""
    folder = tmp_path_factory.mktemp("deepecg")
    made: dict[str, Path] = {}

    def make(manifest: str, *, dtype: str = "float32", layout: str = "plain") -> Path:
        name = f"{manifest}-{dtype}-{layout}.pt"
        if name not in made:
            shapes = json.loads((kit / f"{manifest}.keys.json").read_text())
            labels = shapes.get("proj.weight", [0])[0]
            tensors = formula.state_dict(shapes, dtype=dtype)
            content = formula.checkpoint(tensors, bool(labels), labels, layout)
            torch.save(content, folder / name)
            made[name] = folder / name
        return made[name]

    yield make
    for path in made.values():
        path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def classifier_file(made_checkpoint: Maker) -> Path:
    return made_checkpoint("wcr_afib_5y")


@pytest.fixture(scope="session")
def full_network(classifier_file: Path) -> RiskNetwork:
    return network_from(read_checkpoint(classifier_file))
