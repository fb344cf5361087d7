"""What is kept of a record, and source files that are in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.ecg.readers.base import SourceFile
from services.ecg.record import EcgRecord
from services.errors import TooLarge
from services.records import files
from services.settings import Settings
from services.storage.factory import store_for


@pytest.mark.parametrize("order", ["C", "F", "neither"])
def test_a_signal_comes_back_as_it_was_however_it_lies_in_memory(
    settings: Settings, tmp_path: Path, order: str
) -> None:
    n_samples = files.PIECE_BYTES // 4 + 10  # a lead alone is more than a piece
    wide = np.random.default_rng(0).normal(size=(4, n_samples)).astype(np.float32)
    signal = wide[::2, ::2] if order == "neither" else np.array(wide, order=order)  # type: ignore[call-overload]
    store = store_for(settings)
    record = EcgRecord(signal, tuple("abcd"[: len(signal)]), 360.0)
    files.put_record(store, "rec_1", record, tmp_path)
    kept = store.local_path(files.folder_key("rec_1") + files.SIGNAL)
    np.testing.assert_array_equal(np.load(kept, allow_pickle=False), signal)
    np.save(tmp_path / "whole.npy", signal)
    assert kept.read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_what_is_in_memory_goes_to_disk_when_a_path_is_wanted(tmp_path: Path) -> None:
    source = SourceFile("r.dat", tmp_path / "0", b"12345")
    with source.opened() as stream:
        assert stream.read() == b"12345"
    assert (source.n_bytes, source.head(2), source.content(at_most_bytes=5)) == (5, b"12", b"12345")
    with pytest.raises(TooLarge):
        source.content(at_most_bytes=4)
    assert not (tmp_path / "0").exists()
    assert source.path.read_bytes() == b"12345"
