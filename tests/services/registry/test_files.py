"""A version's files: put into either store, found again whole, packed as one archive."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from services.errors import Unavailable
from services.registry import files
from services.registry import service as registry
from services.storage.base import Store
from tests.services.storage.test_stores import store

__all__ = ["store"]

WEIGHTS = bytes(range(256)) * 9000  # more than one piece
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
LOCATION = files.stored_location("imp_1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "model" / "card.json").write_text("{}")
    return tmp_path / "model"


def test_a_version_is_found_in_the_store(store: Store, folder: Path) -> None:
    files.put_version(store, LOCATION, folder)
    with files.version_folder(store, LOCATION, SHA256) as found:
        assert sorted(path.name for path in found.iterdir()) == ["card.json", "weights.safetensors"]
        assert (found / "weights.safetensors").read_bytes() == WEIGHTS
    files.discard_version(store, LOCATION)
    with pytest.raises(Unavailable, match="import it again"):
        files.version_files(store, LOCATION, SHA256)


def test_clusters_come_along_where_there_are_any(store: Store, folder: Path) -> None:
    (folder / "clusters.npz").write_bytes(b"clusters")
    files.put_version(store, LOCATION, folder)
    assert "clusters.npz" in files.version_files(store, LOCATION, SHA256)


def test_other_weights_than_were_registered_are_not_used(store: Store, folder: Path) -> None:
    files.put_version(store, LOCATION, folder)
    with pytest.raises(Unavailable, match="damaged"):
        files.version_files(store, LOCATION, "0" * 64)


@pytest.mark.parametrize("location", ["fake:", "shipped:nobody", "shipped:../../etc"])
def test_a_place_that_is_none_is_unavailable(store: Store, location: str) -> None:
    with pytest.raises(Unavailable, match="another release"):
        files.version_files(store, location, SHA256)


def test_what_another_release_came_with_is_found_in_the_store(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "shipped_folders", lambda: iter([folder]))
    monkeypatch.setattr(registry, "shipped_folders", lambda: iter([folder]))
    location = registry.shipped_location(folder, registry.content_of(folder))
    files.keep_shipped(store)
    files.keep_shipped(store)
    assert files.version_files(store, location, SHA256)["card.json"].parent == folder
    (folder / "weights.safetensors").write_bytes(b"of the next release")
    with files.version_folder(store, location, SHA256) as found:
        assert (found / "weights.safetensors").read_bytes() == WEIGHTS
    files.keep_shipped(store)
    newer = registry.shipped_location(folder, registry.content_of(folder))
    assert store.folders("shipped/") == {one.removeprefix("shipped:") for one in (location, newer)}


def test_an_archive_comes_in_pieces_and_is_whole(folder: Path) -> None:
    found = {path.name: path for path in sorted(folder.iterdir())}
    pieces = list(files.archive(found, folder="ours-1"))
    assert len([piece for piece in pieces if piece]) > 3
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as packed:
        assert packed.testzip() is None
        assert packed.read("ours-1/weights.safetensors") == WEIGHTS
        assert packed.getinfo("ours-1/card.json").compress_type == zipfile.ZIP_STORED
