"""Every bad upload gets its answer, and nothing but the upload is ever opened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from services.ecg.readers.base import Limits, ReadHints, SourceFile
from services.ecg.readers.detect import read_record
from services.ecg.record import EcgRecord
from services.errors import EctopyError, MalformedInput
from tests import corpus

BAD_UPLOADS = corpus.bad_uploads()
HEAVY = (
    "wfdb", "pandas", "soundfile", "scipy", "ecgdatakit", "pydicom", "defusedxml", "edfio",
    "orjson", "reportlab",
)  # fmt: skip


def read(files: Mapping[str, bytes], folder: Path, limits: Limits | None = None) -> EcgRecord:
    sources = []
    for number, (name, content) in enumerate(files.items()):
        path = folder / f"upload{number}"
        path.write_bytes(content)
        sources.append(SourceFile(name, path))
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    return read_record(sources, limits=limits or Limits(), workspace=workspace)


@pytest.mark.parametrize("bad", BAD_UPLOADS, ids=[bad.name for bad in BAD_UPLOADS])
def test_a_bad_upload_is_refused_with_its_reason(bad: corpus.BadUpload, tmp_path: Path) -> None:
    with pytest.raises(EctopyError) as caught:
        read(bad.files, tmp_path)
    assert caught.value.status == bad.status
    assert bad.says in caught.value.detail
    assert str(tmp_path) not in caught.value.detail


@pytest.mark.parametrize("folder", ["", "mitdb/", "a/b/c/"])
def test_an_archive_holds_the_same_record_as_its_files(folder: str, tmp_path: Path) -> None:
    (tmp_path / "zip").mkdir()
    plain = read(corpus.good_record(), tmp_path)
    packed = read(
        {"anything.bin": corpus.zipped(corpus.good_record(), folder=folder)}, tmp_path / "zip"
    )
    np.testing.assert_array_equal(packed.signal, plain.signal)
    assert packed.lead_names == plain.lead_names == ("MLII", "V1")


def test_folders_in_the_names_of_the_sender_are_left_out(tmp_path: Path) -> None:
    files = {f"C:\\fakepath\\{name}": data for name, data in corpus.good_record().items()}
    assert read(files, tmp_path).name == "rec"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    files = corpus.good_record() | {"sub/rec.dat": b"1234"}
    with pytest.raises(MalformedInput, match=r"more than one file is called rec\.dat"):
        read(files, tmp_path)


def test_an_empty_file_that_nobody_needs_does_not_spoil_an_archive(tmp_path: Path) -> None:
    files = corpus.good_record() | {"README": b""}
    assert read({"rec.zip": corpus.zipped(files)}, tmp_path).name == "rec"


def test_a_header_is_recognized_under_another_name(tmp_path: Path) -> None:
    files = corpus.good_record()
    files["header.txt"] = files.pop("rec.hea")
    assert read(files, tmp_path).n_samples == corpus.N_SAMPLES


def test_a_hinted_name_wins_over_the_header(tmp_path: Path) -> None:
    sources = []
    for name, content in corpus.good_record().items():
        (tmp_path / name).write_bytes(content)
        sources.append(SourceFile(name, tmp_path / name))
    record = read_record(
        sources, limits=Limits(), workspace=tmp_path, hints=ReadHints(name="Monday")
    )
    assert record.name == "Monday"


def test_what_is_good_is_read_at_the_edge_of_the_limits(tmp_path: Path) -> None:
    limits = Limits(max_values=2 * corpus.N_SAMPLES, max_leads=2, min_duration_s=10.0)
    assert read(corpus.good_record(), tmp_path, limits).duration_s == 10.0


def test_the_libraries_that_few_records_need_are_not_loaded_for_the_others() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from services.ecg.readers.files import record_from_path\n"
        f"record_from_path(Path({str(corpus.EXAMPLES / '208_excerpt')!r}))\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    repository = corpus.EXAMPLES.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
