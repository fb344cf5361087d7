"""Multipart parts -> files of our own in a private folder, with their hash."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import Depends, File, Form, UploadFile
from starlette.formparsers import MultiPartParser

from services.ecg.readers.base import ReadHints, SourceFile
from services.errors import UnusableInput
from services.records.service import Upload

COPY_BYTES = 1024 * 1024
MAX_NAME = 200
MAX_FILE_NAME = 1000
# of a file that comes in, until it goes to disk. From then on every piece of 64 KB is written by
# another thread, which takes several times as long as the writing
MultiPartParser.spool_max_size = 8 * 1024 * 1024


@dataclass(frozen=True)
class RecordForm:
    """The multipart form of a record, as it came."""

    files: Sequence[UploadFile]
    name: str | None
    patient_id: str | None
    sampling_rate_hz: float | None
    units: str | None
    leads: str | None

    def fields(self) -> dict[str, object]:
        """What the client says beside the files: part of what makes two requests the same."""
        return {
            "name": self.name,
            "patient_id": self.patient_id,
            "sampling_rate_hz": self.sampling_rate_hz,
            "units": self.units,
            "leads": self.leads,
        }


async def record_form(
    file: Annotated[
        list[UploadFile],
        File(description="the files of one record: `.hea` + `.dat` (+ `.atr`), or one `.zip`"),
    ],
    name: Annotated[str | None, Form(max_length=MAX_NAME, description="instead of its own")] = None,
    patient_id: Annotated[str | None, Form(max_length=MAX_NAME, description="a pseudonym")] = None,
    sampling_rate_hz: Annotated[
        float | None, Form(gt=0, le=100_000, description="for formats that carry none")
    ] = None,
    units: Annotated[str | None, Form(max_length=20, description="the same, e.g. mV, uV")] = None,
    leads: Annotated[
        str | None, Form(max_length=1000, description="the same: names, comma-separated")
    ] = None,
) -> RecordForm:
    return RecordForm(file, name, patient_id, sampling_rate_hz, units, leads)


UploadedRecord = Annotated[RecordForm, Depends(record_form)]


def received(form: RecordForm, workspace: Path, *, project_id: str) -> Upload:
    """The form's files: a few small ones as they are, others copied to `workspace` and hashed on
    their way, under names of our own.
    """
    _check(form)
    incoming, work = workspace / "incoming", workspace / "work"
    incoming.mkdir()
    work.mkdir()
    sources, held = [], 0
    for number, part in enumerate(form.files):
        name, place = part.filename or f"file-{number}", incoming / str(number)
        if part.size is not None and held + part.size <= MultiPartParser.spool_max_size:
            source = SourceFile(name, place, held=part.file.read())
            held += part.size
        else:
            source = SourceFile(name, place, known_sha256=copied(part.file, place))
        sources.append(source)
    return Upload(
        project_id=project_id,
        sources=sources,
        workspace=work,
        patient_id=form.patient_id or None,
        hints=ReadHints(
            name=form.name or None,
            sampling_rate_hz=form.sampling_rate_hz,
            units=form.units or None,
            leads=lead_names(form.leads),
        ),
    )


def lead_names(text: str | None) -> tuple[str, ...] | None:
    """Names from `I, II, V1`."""
    return tuple(part.strip() for part in text.split(",")) if text else None


def _check(form: RecordForm) -> None:
    for text in (form.name, form.patient_id, form.units, form.leads):
        if text is not None and not text.isprintable():
            raise UnusableInput("form fields must be printable text")
    if any(len(part.filename or "") > MAX_FILE_NAME for part in form.files):
        raise UnusableInput(f"a file name has more than {MAX_FILE_NAME} characters")
    if form.sampling_rate_hz is not None and not math.isfinite(form.sampling_rate_hz):
        raise UnusableInput("sampling_rate_hz must be a finite number")


def copied(part: BinaryIO, target: Path) -> str:
    """Copies a part to a file; the sha256 of what it has."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while chunk := part.read(COPY_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
