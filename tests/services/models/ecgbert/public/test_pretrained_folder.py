"""The public files as a folder of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from services.errors import MalformedInput, NotFound
from services.models.ecgbert.public.checkpoint import with_guide_ids
from services.models.ecgbert.public.pretrained_folder import (
    import_public_files,
    read_pretrained_folder,
)
from services.models.ecgbert.reference.network import GuideNetwork
from tests.services.models.ecgbert.public.made_files import write_cluster_folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    torch.save(GuideNetwork().state_dict(), tmp_path / "public.pth")
    return tmp_path / "public.pth"


def test_an_imported_folder_holds_the_weights_with_the_guides_ids(
    checkpoint: Path, tmp_path: Path
) -> None:
    write_cluster_folder(tmp_path / "clusters")
    import_public_files(checkpoint, clusters=tmp_path / "clusters", into=tmp_path / "out")
    network, clusters = read_pretrained_folder(tmp_path / "out")
    public = torch.load(checkpoint, weights_only=True)
    for name, tensor in with_guide_ids(public).items():
        assert torch.equal(network.state_dict()[name], tensor)
    assert [len(c) for c in clusters.centroids] == [12, 19, 14, 25]
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["sources"]["public.pth"].startswith("sha256:")
    assert str(tmp_path) not in json.dumps(card)


def test_nothing_is_written_when_something_is_missing(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="P_cluster"):
        import_public_files(checkpoint, clusters=tmp_path, into=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_kind_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    write_cluster_folder(tmp_path / "clusters")
    import_public_files(checkpoint, clusters=tmp_path / "clusters", into=tmp_path / "out")
    (tmp_path / "out" / "card.json").write_text('{"family": "ecgbert"}')
    with pytest.raises(MalformedInput, match="pretrained"):
        read_pretrained_folder(tmp_path / "out")
    (tmp_path / "out" / "card.json").unlink()
    with pytest.raises(NotFound, match=r"card\.json"):
        read_pretrained_folder(tmp_path / "out")
