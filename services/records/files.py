"""What is kept of a record in the store: the decoded signal and the reference annotations.

The uploaded files themselves are not kept: their headers may identify a patient, and the signal in
float32 holds every bit that a 24-bit recorder gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import Annotations, EcgRecord
from services.errors import NotFound
from services.records.row import RecordRow
from services.storage.base import Store

PREFIX = "records/"
SIGNAL = "signal.npy"
ANNOTATIONS = "annotations.npz"
# A write of 2 MB or more now and then takes many times as long as in pieces, on virtual machines
# at least: for that much at once Linux looks for large pieces of free memory
PIECE_BYTES = 256 * 1024


def folder_key(record_id: str) -> str:
    """Where a record's files lie."""
    return f"{PREFIX}{record_id}/"


def put_record(store: Store, record_id: str, record: EcgRecord, workspace: Path) -> None:
    """Stores signal and annotations; the workspace is a private folder of the caller."""
    signal = workspace / SIGNAL
    _save(signal, record.signal)
    store.put(folder_key(record_id) + SIGNAL, signal)
    signal.unlink()
    if record.annotations is not None:
        notes = record.annotations.note or ("",) * len(record.annotations)
        annotations = workspace / ANNOTATIONS
        np.savez(
            annotations,
            sample=record.annotations.sample,
            symbol=np.array(record.annotations.symbol, dtype=np.str_),
            note=np.array(notes, dtype=np.str_),
        )
        store.put(folder_key(record_id) + ANNOTATIONS, annotations)


def _save(path: Path, array: NDArray[Any]) -> None:
    """`numpy.save`, which does not say of a full disk that it is full."""
    content = array.reshape(-1, order="A").view(np.uint8).data  # as it lies in memory, or copied
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        for begin in range(0, len(content), PIECE_BYTES):
            file.write(content[begin : begin + PIECE_BYTES])


def open_record(store: Store, row: RecordRow, *, with_annotations: bool = False) -> EcgRecord:
    """The stored record; its signal is a read-only memory map."""
    path = store.local_path(folder_key(row.id) + SIGNAL)
    try:
        signal = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:  # the record was removed this very moment
        raise NotFound(f"there is no record {row.id}") from error
    annotations = None
    if with_annotations and row.has_annotations:
        annotations = open_annotations(store, row)
    return EcgRecord(
        signal=signal,
        lead_names=tuple(lead["name"] for lead in row.leads),
        units=tuple(lead["unit"] for lead in row.leads),
        sampling_rate_hz=row.sampling_rate_hz,
        name=row.name,
        format=row.format,
        annotations=annotations,
        notes=tuple(row.notes),
    )


def open_annotations(store: Store, row: RecordRow) -> Annotations:
    """The reference annotations that came with a record."""
    path = store.local_path(folder_key(row.id) + ANNOTATIONS)
    with np.load(path, allow_pickle=False) as arrays:
        return Annotations(
            sample=arrays["sample"],
            symbol=tuple(arrays["symbol"].tolist()),
            note=tuple(arrays["note"].tolist()),
        )
