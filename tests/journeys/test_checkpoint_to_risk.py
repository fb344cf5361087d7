"""From a published checkpoint to a risk: full size, over HTTP, a real worker, real servers."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from services.ecg.readers.base import Limits, SourceFile
from services.ecg.readers.detect import read_record
from services.ecg.record import EcgRecord
from services.models.deepecg.family import FAMILY
from services.models.deepecg.importing import import_classifier
from services.models.results import RiskResult
from services.training.progress import NoProgress
from tests.conftest import SHARED, Live, forget_model
from tests.factories import assert_problem, kept_files, parts, upload
from tests.formula import brought_in, formula_checkpoint

RECORD = SHARED / "data" / "formats" / "wfdb-mat"
NAME = "deepecg-afib-5y"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A full-size stand-in for wcr_afib_5y.pt, made by a formula."""
    file = formula_checkpoint("wcr_afib_5y", tmp_path_factory.mktemp("formula"))
    yield file
    file.unlink()


@pytest.fixture(scope="module")
def imported(checkpoint: Path, live: Live) -> Iterator[dict[str, Any]]:
    """The version that the checkpoint becomes."""
    with httpx.Client(base_url=live.url, timeout=120, trust_env=False) as client:
        yield brought_in(client, checkpoint)
    with live.sessions.begin() as session:
        forget_model(session, NAME)


@pytest.fixture
def twelve_leads() -> dict[str, bytes]:
    if not RECORD.is_dir():
        pytest.skip("the example files (../shared/data/formats) are not here")
    return {name: (RECORD / name).read_bytes() for name in ("E07500.hea", "E07500.mat")}


def read(files: dict[str, bytes], folder: Path) -> EcgRecord:
    """The record, read without the service."""
    sources = []
    for number, (name, content) in enumerate(files.items()):
        (folder / str(number)).write_bytes(content)
        sources.append(SourceFile(name, folder / str(number)))
    return read_record(sources, limits=Limits(), workspace=folder)


def predicted(
    client: httpx.Client, files: dict[str, bytes], model: str | None = None
) -> httpx.Response:
    fields = {"model": model} if model else {}
    return client.post("/v1/predict/afib-5y", files=parts(files), data=fields)


def test_the_service_gives_the_networks_own_risk(
    imported: dict[str, Any],
    checkpoint: Path,
    live_client: httpx.Client,
    twelve_leads: dict[str, bytes],
    tmp_path: Path,
) -> None:
    answer = predicted(live_client, twelve_leads, f"{NAME}@{imported['version']}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["status"] == "succeeded", found["error"]
    result = found["result"]
    import_classifier(checkpoint, into=tmp_path / "model")
    direct = FAMILY.load(tmp_path / "model", device="cpu").predict(
        read(twelve_leads, tmp_path), options={}, progress=NoProgress()
    )
    assert isinstance(direct, RiskResult)
    assert result["logit"] == pytest.approx(direct.logit, abs=1e-5)
    assert result["risk"] == pytest.approx(direct.risk, abs=1e-5)
    assert (result["threshold"], result["calibrated"]) == (0.231, False)
    assert result["label"] == direct.label
    assert result["windows"] == [{"start_s": 0.0, "risk": result["risk"]}]
    assert result["notes"]
    assert result["synthetic"] is True
    assert found["model"] == {"name": NAME, "version": imported["version"], "synthetic": True}


def test_made_up_weights_answer_only_when_they_are_named(
    imported: dict[str, Any], live_client: httpx.Client, twelve_leads: dict[str, bytes]
) -> None:
    assert (imported["synthetic"], imported["promoted"]) == (True, False)
    assert_problem(predicted(live_client, twelve_leads), 503, "ectopy models import wcr_afib_5y.pt")


def test_the_same_record_gives_the_same_bytes_again(
    imported: dict[str, Any], live_client: httpx.Client, twelve_leads: dict[str, bytes]
) -> None:
    model = f"{NAME}@{imported['version']}"
    first, again = (predicted(live_client, twelve_leads, model).json() for _ in range(2))
    assert first["id"] != again["id"]
    assert first["result"] == again["result"]


def test_a_record_without_twelve_leads_is_refused(
    imported: dict[str, Any], live_client: httpx.Client, example: dict[str, bytes]
) -> None:
    model = f"{NAME}@{imported['version']}"
    assert_problem(predicted(live_client, example, model), 422, "lacks the leads")
    body = {
        "record_id": upload(live_client, example)["id"],
        "task": "afib-5y",
        "model": model,
        "options": {"preparation": "mine"},
    }
    assert_problem(live_client.post("/v1/predictions", json=body), 422, "options")


def test_the_weights_come_back_as_safetensors(
    imported: dict[str, Any], checkpoint: Path, live_client: httpx.Client
) -> None:
    path = f"/v1/models/{NAME}/versions/{imported['version']}/download"
    with zipfile.ZipFile(io.BytesIO(live_client.get(path).content)) as archive:
        (weights,) = [name for name in archive.namelist() if name.endswith("weights.safetensors")]
        assert archive.getinfo(weights).file_size > 300_000_000
        assert archive.testzip() is None


class Malicious:
    """Would run a command, were it unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, (self.command,)


def test_files_that_are_no_checkpoint_are_refused_and_the_worker_lives(
    live: Live, live_client: httpx.Client, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    files = {name: tmp_path / f"{name}.pt" for name in ("runs", "cut", "extra")}
    torch.save({"model": {"a": Malicious(f"touch {touched}")}}, files["runs"])
    torch.save({"model": {"a": torch.zeros(10_000)}}, files["extra"])
    files["cut"].write_bytes(files["extra"].read_bytes()[:5000])
    before = [path for path in kept_files(live.settings) if "imports/" in path]
    for name, says in (
        ("runs", "it would call posix.system"),
        ("cut", "cut off before its end"),
        ("extra", "unexpected a"),
    ):
        content = {files[name].name: files[name].read_bytes()}
        answer = live_client.post("/v1/models/import", files=parts(content))
        problem = assert_problem(answer, 400, says)
        assert files[name].name in problem["detail"]
    assert not touched.exists()
    assert live.worker.process.poll() is None  # and it has answered after each of them
    left = [path for path in kept_files(live.settings) if "imports/" in path]
    assert len(left) <= len(before)
