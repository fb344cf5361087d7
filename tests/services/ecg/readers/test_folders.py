"""Which files of a folder are records."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ecg.readers.folders import record_paths
from services.errors import NotFound


def test_headers_and_single_files_are_records_and_their_parts_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text("a 1 360 10\na.dat 16 200/mV\n")
    (tmp_path / "a.dat").write_bytes(bytes(20))
    (tmp_path / "a.atr").write_bytes(b"\0\0")
    (tmp_path / "m.hea").write_text("m/2 1 360 20\nm_1 10\nm_2 10\n")
    for part in ("m_1", "m_2"):
        (tmp_path / f"{part}.hea").write_text(f"{part} 1 360 10\n{part}.dat 16 200/mV\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.edf").write_bytes(b"0")
    (tmp_path / "c.hea").write_text("c 1 500 10\nc.mat 16+24 1000/mV\n")
    (tmp_path / "c.mat").write_bytes(b"0")
    (tmp_path / "patients.csv").write_text("record,patient\n")
    (tmp_path / "README.txt").write_text("about")
    found = [path.relative_to(tmp_path).as_posix() for path in record_paths(tmp_path)]
    assert found == ["a.hea", "c.hea", "m.hea", "more/b.edf"]


def test_a_damaged_header_stays_a_record_so_that_reading_it_says_what_is_wrong(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.hea").write_bytes(b"\0")
    assert record_paths(tmp_path) == [tmp_path / "a.hea"]


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        record_paths(tmp_path / "nowhere")
