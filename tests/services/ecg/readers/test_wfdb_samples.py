"""Every storage format gives what the `wfdb` library gives, in one piece or in many."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import numpy as np
import pytest
import soundfile
import wfdb

from services.ecg.readers import signal_memory, wfdb_samples
from services.ecg.readers.files import record_from_path

BYTES_A_SAMPLE = {
    8: 1,
    16: 2,
    24: 3,
    32: 4,
    61: 2,
    80: 1,
    160: 2,
    212: 3 / 2,
    310: 4 / 3,
    311: 4 / 3,
}
FLAC = {508: "PCM_S8", 516: "PCM_16", 524: "PCM_24"}
SHAPES = [(499, (1,)), (500, (1, 1, 1)), (1001, (1, 1)), (997, (1, 4, 2)), (501, (2, 2))]


def write_random_record(
    folder: Path, storage: int, n_frames: int, per_frame: tuple[int, ...]
) -> Path:
    """Any bytes are a valid file of a format of fixed width."""
    random = np.random.default_rng(storage)
    if storage in FLAC:
        bits = storage - 500
        shape = (n_frames * per_frame[0], len(per_frame))
        values = random.integers(-(2**31), 2**31 - 1, shape).astype(np.int32)
        values &= ~((1 << (32 - bits)) - 1)
        soundfile.write(folder / "r.dat", values, 250, subtype=FLAC[storage], format="FLAC")
    else:
        n_bytes = math.ceil(n_frames * sum(per_frame) * BYTES_A_SAMPLE[storage])
        if storage in (310, 311):
            n_bytes = math.ceil(n_bytes / 4) * 4
        (folder / "r.dat").write_bytes(random.bytes(n_bytes))
    lines = [f"r {len(per_frame)} 250 {n_frames}"]
    lines += [f"r.dat {storage}x{n} 200(3)/mV 0 0 7 0 0 c{i}" for i, n in enumerate(per_frame)]
    (folder / "r.hea").write_text("\n".join(lines) + "\n")
    return folder / "r"


@pytest.mark.parametrize("storage", [*BYTES_A_SAMPLE, *FLAC])
@pytest.mark.parametrize("piece_values", [100, wfdb_samples.PIECE_VALUES])
def test_samples_are_those_of_the_library(
    storage: int, piece_values: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wfdb_samples, "PIECE_VALUES", piece_values)
    for number, (n_frames, per_frame) in enumerate(SHAPES):
        if storage in FLAC and len(set(per_frame)) > 1:
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write_random_record(folder, storage, n_frames, per_frame)
        expected = wfdb.rdrecord(str(path), smooth_frames=False).e_p_signal
        signal = record_from_path(path).signal
        for i, lead in enumerate(expected):
            held = max(per_frame) // per_frame[i]
            np.testing.assert_array_equal(signal[i, ::held], lead.astype(np.float32))


@pytest.mark.parametrize("storage", [8, 212, 310, 516])
def test_a_large_record_is_mapped_and_has_the_same_samples(
    storage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_random_record(tmp_path, storage, 1001, (1, 1))
    in_memory = record_from_path(path).signal
    monkeypatch.setattr(signal_memory, "MAPPED_FROM_VALUES", 1000)
    mapped = record_from_path(path).signal
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, in_memory)


@pytest.mark.parametrize("storage", [8, 212, 524])
def test_reading_needs_no_network(
    storage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    path = write_random_record(tmp_path, storage, 500, (1, 1))
    assert record_from_path(path).n_samples == 500
