"""`ectopy models import` and `fetch`: into the database and store that the settings name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from ectopy.cli import app
from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.errors import EctopyError, MalformedInput, StateConflict, Unavailable, UnusableInput
from services.models import families
from services.models.deepecg.importing import import_public
from services.models.ecgbert.guide.model_folder import write_model_folder
from services.models.ecgbert.guide.network import GuideClassifier, GuideConfig
from services.models.ecgbert.public.pretrained_folder import import_public as import_ecgbert
from services.models.ecgbert.reference.network import GuideNetwork
from services.registry import service as registry
from services.settings import Settings
from tests.conftest import forget_model
from tests.services.models.deepecg.small import SMALL, classifier_tensors, saved, small_network
from tests.services.models.deepecg.test_family import trained_tensors
from tests.services.models.ecgbert.public.made_files import write_cluster_folder
from tests.services.models.ecgbert.tiny import tiny_clusters


@pytest.fixture(autouse=True)
def small(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sessions: SessionFactory
) -> Iterator[None]:
    """Small networks, and the test's own database and folder."""
    for name, value in environment.items():
        if name.startswith("ECTOPY_") and value:
            monkeypatch.setenv(name, value)
    importers = families.IMPORTERS | {
        "afib-5y": partial(import_public, config=SMALL),
        "beats": import_ecgbert,
    }
    monkeypatch.setattr(families, "IMPORTERS", importers)
    yield
    with sessions.begin() as session:
        for name in ("deepecg-afib-5y", "ours", "ecgbert-public"):
            forget_model(session, name)


def run(*arguments: object) -> str:
    """What the command prints; its deliberate errors are raised."""
    done = CliRunner().invoke(app, ["models", *map(str, arguments)])
    if isinstance(done.exception, EctopyError):
        raise done.exception
    return done.output


def stored(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.store_dir.rglob("*") if path.is_file())


def test_a_file_becomes_the_model_that_answers(
    tmp_path: Path, sessions: SessionFactory, settings: Settings
) -> None:
    file = saved(tmp_path / "wcr_afib_5y.pt", trained_tensors())
    told = run("import", file)
    assert "imported deepecg-afib-5y@1" in told
    assert "it answers for afib-5y" in told
    with sessions() as session:
        assert registry.resolve(session, DEFAULT_PROJECT, "afib-5y", None).location.startswith(
            "store:models/imp_"
        )
    assert stored(settings) == ["card.json", "weights.safetensors"]
    with pytest.raises(StateConflict, match="same weights and card already"):
        run("import", file)
    assert stored(settings) == ["card.json", "weights.safetensors"]


def test_a_model_folder_is_imported_as_its_download_would_be(tmp_path: Path) -> None:
    card = {
        "name": "ours",
        "task": "beats",
        "family": "ecgbert-guide",
        "labels": ["N", "S", "V", "F", "Q"],
        "granularity": "wave",
        "architecture": GuideConfig().as_card(),
    }
    write_model_folder(
        tmp_path / "model",
        network=GuideClassifier(GuideConfig()),
        clusters=tiny_clusters(),
        card=card,
    )
    (tmp_path / "model" / "notes.txt").write_text("not a part of it")
    assert "imported ours@1" in run("import", tmp_path / "model", "--task", "beats")
    with pytest.raises(UnusableInput, match=r"has no card\.json"):
        run("import", tmp_path)


def test_made_up_weights_are_said_to_be(tmp_path: Path) -> None:
    told = run(
        "import", saved(tmp_path / "f.pt", classifier_tensors(small_network())), "--name", "ours"
    )
    assert "imported ours@1" in told
    assert "synthetic" in told
    assert "name it as ours@1" in told


def test_what_is_refused_leaves_nothing(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "x.pt").write_bytes(b"nothing")
    with pytest.raises(MalformedInput, match=r"x\.pt"):
        run("import", tmp_path / "x.pt")
    with pytest.raises(UnusableInput, match="together with its clusters"):
        run("import", tmp_path / "x.pt", "--task", "beats")
    assert stored(settings) == []


def test_without_the_hubs_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(Unavailable, match=r"pip install 'ectopy\[fetch\]'.*ectopy models import"):
        run("fetch")


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        ("LocalEntryNotFoundError", "cannot be reached from here.*ectopy models import"),
        ("ConnectionError", "the download failed"),
    ],
)
def test_without_a_network_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, failure: str, says: str
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub import errors

    error = getattr(errors, failure, ConnectionError)

    def away(**_: object) -> str:
        raise error("away")

    monkeypatch.setattr(hub, "hf_hub_download", away)
    with pytest.raises(Unavailable, match=says):
        run("fetch")


def test_a_fetched_file_is_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    file = saved(tmp_path / "wcr_afib_5y.pt", trained_tensors())
    asked: list[dict[str, object]] = []

    def download(**what: object) -> str:
        asked.append(what)
        return str(file)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert "imported deepecg-afib-5y@1" in run("fetch")
    assert asked == [{"repo_id": "heartwise/wcr_afib_5y", "filename": "wcr_afib_5y.pt"}]


def test_the_public_ecgbert_comes_with_a_folder_of_clusters(
    tmp_path: Path, settings: Settings
) -> None:
    torch.save(GuideNetwork().state_dict(), tmp_path / "public.pth")
    write_cluster_folder(tmp_path / "clusters")
    told = run(
        "import", tmp_path / "public.pth", "--task", "beats", "--clusters", tmp_path / "clusters"
    )
    assert "imported ecgbert-public@1" in told
    assert "gives no prediction: a fine-tune may start from it" in told
    assert stored(settings) == ["card.json", "clusters.npz", "weights.safetensors"]
