"""Archives of many and of large records: one record is in memory and on the disk at a time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from services.access.caller import DEFAULT_PROJECT
from services.datasets import intake as intakes
from services.datasets import service as datasets
from services.datasets.intake import Intake
from services.db.session import SessionFactory
from services.ecg.readers.base import Limits, SourceFile
from services.errors import TooLarge
from services.settings import Settings
from services.storage.factory import store_for
from tests.labelled import archive, atr, rhythm, wfdb

SMALL = 2000


@pytest.fixture
def into(settings: Settings, sessions: SessionFactory, tmp_path: Path) -> Intake:
    (tmp_path / "work").mkdir()
    return Intake(
        sessions=sessions,
        store=store_for(settings),
        project_id=DEFAULT_PROJECT,
        task="beats",
        limits=Limits(),
        max_records=SMALL,
        max_bytes=1 << 30,
        workspace=tmp_path / "work",
    )


def sent(folder: Path, files: dict[str, bytes]) -> SourceFile:
    path = folder / "records.zip"
    path.write_bytes(archive(files, method=0))
    return SourceFile("records.zip", path)


@pytest.mark.slow
def test_two_thousand_records_in_one_archive(into: Intake, tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    for n in range(SMALL):
        signal = np.roll(np.tile([0.0, 0.1, 1.0, -0.2, 0.0], 60), n % 300)[None]
        signal[0, n % 300] += n * 0.005  # no two have the same bytes
        files |= wfdb(f"p{n % 50}/r{n}", signal, leads=("II",), rate_hz=100.0)
        files[f"p{n % 50}/r{n}.atr"] = atr(np.array([50, 150, 250]), rate_hz=100.0)
    taken = datasets.taken_from_archive(into, sent(tmp_path, files), None)
    assert (len(taken.members), taken.left_out) == (SMALL, [])
    assert len(set(taken.made)) == SMALL
    assert [p for name in intakes.FOLDERS for p in (into.workspace / name).iterdir()] == []


def test_memory_holds_one_large_record_however_many_come(into: Intake, tmp_path: Path) -> None:
    signal, peaks = rhythm(1, duration_s=1200.0, n_leads=4)
    files: dict[str, bytes] = {}
    for n in range(12):
        files |= wfdb(f"r{n}", np.asarray(signal[:, n:]), leads=("I", "II", "V1", "V5"))
        files[f"r{n}.atr"] = atr(peaks[peaks > n + 5] - n)
    upload = sent(tmp_path, files)
    one = signal.nbytes
    del files
    tracemalloc.start()
    taken = datasets.taken_from_archive(into, upload, None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(taken.members) == 12
    assert peak < 8 * one < 12 * one  # a few copies of the one that is read, never all of them


def test_more_records_than_a_dataset_may_have_are_refused_before_any_is_read(
    into: Intake, tmp_path: Path
) -> None:
    files = {f"r{n}.hea": b"x" for n in range(SMALL + 1)}
    with pytest.raises(TooLarge, match="ECTOPY_MAX_DATASET_RECORDS"):
        datasets.taken_from_archive(into, sent(tmp_path, files), None)
