"""What an archive may hold; the malicious ones are in the corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ecg.readers.archive import is_archive, unpacked
from services.ecg.readers.base import Limits, SourceFile
from services.errors import MalformedInput, TooLarge
from tests import corpus


def unpack(content: bytes, folder: Path, **limits: int) -> dict[str, bytes]:
    path = folder / "upload"
    path.write_bytes(content)
    files = unpacked(SourceFile("a.zip", path), limits=Limits(**limits), folder=folder / "out")
    return {file.name: file.path.read_bytes() for file in files}


def test_files_come_out_under_names_of_our_own(tmp_path: Path) -> None:
    files = unpack(corpus.zipped({"a": b"1", "b.txt": b"2"}, folder="x/y/"), tmp_path)
    assert files == {"a": b"1", "b.txt": b"2"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00000", "00001"]


def test_folders_and_desktop_files_are_passed_over(tmp_path: Path) -> None:
    content = corpus.zipped({"x/": b"", "__MACOSX/x/._a": b"!", "x/.DS_Store": b"!", "x/a": b"1"})
    assert unpack(content, tmp_path) == {"a": b"1"}


def test_an_archive_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(corpus.zipped({"a": b"1"}))
    (tmp_path / "b.zip").write_bytes(b"plain")
    assert is_archive(SourceFile("a.dat", tmp_path / "a.dat"))
    assert not is_archive(SourceFile("b.zip", tmp_path / "b.zip"))


def test_the_total_of_all_files_is_limited(tmp_path: Path) -> None:
    content = corpus.zipped({"a": b"1" * 600, "b": b"2" * 600})
    with pytest.raises(TooLarge, match="unpacks to 1,200 bytes, at most 1,000"):
        unpack(content, tmp_path, max_unpacked_bytes=1000)


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = bytearray(corpus.zipped({"a": b"1" * 5000}))
    at = content.find(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises((MalformedInput, TooLarge)):
        unpack(bytes(content), tmp_path)
    assert sum(p.stat().st_size for p in (tmp_path / "out").iterdir()) <= 10


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    content = bytearray(corpus.zipped({"a": bytes(range(256)) * 10}))
    content[60] ^= 0xFF
    with pytest.raises(MalformedInput, match=r"a\.zip is a damaged zip archive"):
        unpack(bytes(content), tmp_path)
