"""The public ECGBERT through the same import as any file: a start that answers nothing."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.imports import files, service
from services.imports.files import IncomingFile
from services.imports.row import ModelImportRow
from services.imports.runner import ImportRunner
from services.jobs import lifecycle
from services.jobs.execution import execute
from services.models.ecgbert.guide.model_folder import read_base
from services.models.ecgbert.public.checkpoint import with_guide_ids
from services.models.ecgbert.public.pretrained_folder import import_public
from services.models.ecgbert.reference.network import GuideNetwork
from services.registry import service as registry
from services.registry.files import version_folder
from services.settings import Settings
from services.storage.factory import store_for
from tests.conftest import forget_model
from tests.services.models.ecgbert.public.made_files import (
    Attack,
    write_cluster_folder,
    write_model,
)


@pytest.fixture(autouse=True)
def forgotten(sessions: SessionFactory) -> Iterator[None]:
    yield
    with sessions.begin() as session:
        forget_model(session, "ecgbert-public")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_cluster_folder(tmp_path / "files")
    torch.manual_seed(3)
    torch.save(GuideNetwork().state_dict(), tmp_path / "files" / "sf1.0_model.pth")
    return tmp_path / "files"


def bring(folder: Path, sessions: SessionFactory, settings: Settings) -> ModelImportRow:
    store = store_for(settings)
    runner = ImportRunner(sessions, store, {"beats": import_public}, tempfile.TemporaryDirectory)
    incoming = [
        IncomingFile(file.name, file, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in sorted(folder.iterdir())
    ]
    import_id = service.new_import_id()
    files.put(store, import_id, incoming)
    with sessions.begin() as session:
        names = [file.plain_name for file in incoming]
        service.require_importable(
            session, DEFAULT_PROJECT, task="beats", name=None, file_names=names
        )
        row = service.create(
            session, DEFAULT_PROJECT, incoming, task="beats", name=None, import_id=import_id
        )
    with sessions.begin() as session:
        claim = lifecycle.claim(session, row.job_id, worker="here", lease_s=60)
    assert claim is not None
    execute(sessions, claim, runner, threading.Event())
    with sessions() as session:
        service.discard_if_ended(session, store, import_id)
        return service.get(session, DEFAULT_PROJECT, import_id)


def test_five_files_become_a_base_with_the_guide_s_ids(
    folder: Path, sessions: SessionFactory, settings: Settings
) -> None:
    row = bring(folder, sessions, settings)
    assert (row.job.status, row.model_name) == ("succeeded", "ecgbert-public")
    with sessions() as session:
        version = registry.version(session, DEFAULT_PROJECT, "ecgbert-public", 1)
        assert not registry.predicts(version)
        promoted = registry.model(session, DEFAULT_PROJECT, "ecgbert-public").promoted_version
    assert promoted is None
    assert set(version.card["sources"]) == {path.name for path in folder.iterdir()}
    with version_folder(store_for(settings), version.location, version.sha256) as kept:
        base = read_base(kept)
    public = torch.load(folder / "sf1.0_model.pth", weights_only=True)
    assert not base.predicts
    assert base.clusters.points == "first"
    for name, tensor in with_guide_ids(public).items():
        assert torch.equal(base.tensors[name], tensor)


def test_arrays_may_come_instead_of_the_four_files(
    folder: Path, sessions: SessionFactory, settings: Settings
) -> None:
    rng = np.random.default_rng(0)
    sizes = {"P": 12, "QRS": 19, "T": 14, "BG": 25}
    arrays = {name: rng.normal(size=(size, 10)) for name, size in sizes.items()}
    for file in folder.glob("*.pkl"):
        file.unlink()
    np.savez(folder / "clusters.npz", allow_pickle=False, **arrays)
    assert bring(folder, sessions, settings).job.status == "succeeded"


def test_a_cluster_file_that_calls_something_is_refused_and_leaves_nothing(
    folder: Path, sessions: SessionFactory, settings: Settings
) -> None:
    write_model(folder / "T_cluster.pkl", n_clusters=14, extra=Attack(print, "run"))
    row = bring(folder, sessions, settings)
    assert row.job.status == "failed"
    assert row.job.error is not None
    assert "T_cluster.pkl: it calls" in row.job.error["detail"]
    left = [path for path in settings.store_dir.rglob("*") if path.is_file()]
    assert left == []


def test_another_number_of_clusters_is_named(
    folder: Path, sessions: SessionFactory, settings: Settings
) -> None:
    write_model(folder / "P_cluster.pkl", n_clusters=11)
    row = bring(folder, sessions, settings)
    assert row.job.error is not None
    assert "P_cluster.pkl: cluster_centers_ has the shape" in row.job.error["detail"]
