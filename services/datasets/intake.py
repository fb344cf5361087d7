"""An archive of records, or ids of records, become members; what cannot is left out with a reason.

An archive is read an entry at a time, a few records in a transaction: memory holds one record, and
one that is here already is not read again.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.orm import Session

from services.datasets import labels_file
from services.datasets.labels_file import Labels, parsed_labels
from services.datasets.members import BEATS, Member, member_of
from services.db.session import SessionFactory
from services.ecg.readers.archive import OpenedArchive, opened_archive
from services.ecg.readers.base import Limits, ReadHints, SourceFile, refuse, shown
from services.ecg.readers.record_files import RecordFiles, grouped
from services.errors import (
    EctopyError,
    MalformedInput,
    TooLarge,
    UnknownFormat,
    UnusableInput,
)
from services.records import service as records
from services.records.row import RecordRow
from services.records.service import Upload
from services.storage.base import Store

log = structlog.get_logger()

MAX_ENTRIES = 100_000
HEADER_BYTES = 1 << 16  # of one header, to see which files it names
ALL_HEADERS_BYTES = 64 << 20
RECORDS_A_TRANSACTION = 25
FOLDERS = ("incoming", "work")

# what is wrong with one record, and no reason to stop
_OF_THE_RECORD = (MalformedInput, TooLarge, UnknownFormat, UnusableInput)


@dataclass
class Taken:
    """What became of what was sent.

    made: ids of records that were not here before; they go again where no dataset comes of it.
    named: what each member is called, by record id.
    """

    members: list[Member] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)

    def leave_out(self, file: str, reason: str, others: Sequence[str] = ()) -> None:
        entry: dict[str, Any] = {"file": file, "reason": reason}
        if others:
            entry["with"] = list(others)
        self.left_out.append(entry)


@dataclass(frozen=True)
class Intake:
    """Where records go, within which limits, and what their sender says of all of them."""

    sessions: SessionFactory
    store: Store
    project_id: str
    task: str
    limits: Limits
    max_records: int
    max_bytes: int
    workspace: Path
    hints: ReadHints = field(default_factory=ReadHints)


def of_records(
    store: Store,
    rows: Sequence[RecordRow],
    *,
    task: str,
    labels: Mapping[str, float],
    patients: Mapping[str, str],
) -> Taken:
    """Members of records that are here."""
    taken = Taken()
    for row in rows:
        try:
            taken.members.append(
                member_of(
                    store, row, task=task, patient=patients.get(row.id), label=labels.get(row.id)
                )
            )
        except UnusableInput as problem:
            taken.leave_out(row.id, problem.detail)
    return taken


@contextmanager
def of_archive(intake: Intake, archive: SourceFile, labels: SourceFile | None) -> Iterator[Taken]:
    """Members of an archive's records; when the block fails, records that were new go again."""
    taken = Taken()
    try:
        with opened_archive(archive, max_bytes=intake.max_bytes, max_entries=MAX_ENTRIES) as opened:
            _take_all(intake, opened, labels, taken)
        yield taken
    except BaseException:
        remove_records(intake, taken.made)
        raise


def _take_all(
    intake: Intake, opened: OpenedArchive, labels: SourceFile | None, taken: Taken
) -> None:
    inside = [p for p in opened.paths if p.rsplit("/", 1)[-1].lower() == labels_file.NAME]
    lines = _labels(intake, opened, labels, inside)
    paths = [path for path in opened.paths if path not in inside]
    groups, stray = grouped(paths, _HeaderTexts(opened))
    if len(groups) > intake.max_records:
        raise TooLarge(
            f"{opened.name} has {len(groups):,} records, at most {intake.max_records:,} make a "
            "dataset (ECTOPY_MAX_DATASET_RECORDS)"
        )
    by_record = _lines_of(lines, groups)
    for at in range(0, len(groups), RECORDS_A_TRANSACTION):
        _take_some(intake, opened, groups[at : at + RECORDS_A_TRANSACTION], by_record, taken)
    taken.left_out += [{"file": each.file, "reason": each.reason} for each in stray]
    used = {line.number for line in by_record.values()}
    for line in lines.lines.values():
        if line.number not in used:
            taken.leave_out(
                f"{labels_file.NAME}, line {line.number}",
                f"there is no record {shown(line.record)}",
            )


def _take_some(
    intake: Intake,
    opened: OpenedArchive,
    groups: Sequence[RecordFiles],
    lines: Mapping[str, labels_file.Line],
    taken: Taken,
) -> None:
    """A few records in one transaction; its files go again when it fails."""
    stored: list[str] = []
    try:
        with intake.sessions.begin() as session:
            for group in groups:
                line = lines.get(group.paths[0])
                if intake.task != BEATS and (line is None or line.label is None):
                    taken.leave_out(group.paths[0], _no_label(line), group.paths[1:])
                    continue
                try:
                    _take(intake, session, opened, group, line, taken, stored)
                except _OF_THE_RECORD as problem:
                    taken.leave_out(group.paths[0], problem.detail, group.paths[1:])
            for record_id in stored:
                records.settle_files(intake.store, record_id)
    except BaseException:
        for record_id in stored:
            records.discard_files(intake.store, record_id)
        raise
    taken.made += stored


def _lines_of(labels: Labels, groups: Sequence[RecordFiles]) -> dict[str, labels_file.Line]:
    """The line of each record, by the first of its paths.

    A line names a record by its path, or else by its plain name. MalformedInput for one that could
    be of several.
    """
    by_path, by_plain = defaultdict(set), defaultdict(set)
    for group in groups:
        for path in (group.name, *group.paths):
            by_path[path].add(group.paths[0])
            by_plain[path.rsplit("/", 1)[-1]].add(group.paths[0])
    found = {}
    for line in labels.lines.values():
        records_meant = by_path.get(line.record) or by_plain.get(line.record, set())
        if len(records_meant) > 1:
            refuse(
                labels_file.NAME,
                line.number,
                f"{len(records_meant)} records are called {shown(line.record)}; give its path",
            )
        for record in records_meant:
            if record in found:
                refuse(labels_file.NAME, line.number, f"{shown(record)} has a line already")
            found[record] = line
    return found


def _no_label(line: labels_file.Line | None) -> str:
    if line is None:
        return f"{labels_file.NAME} has no line for it"
    return f"line {line.number} of {labels_file.NAME} gives it no label"


def _take(  # noqa: PLR0913 - what comes, where it goes, and what became of it
    intake: Intake,
    session: Session,
    opened: OpenedArchive,
    group: RecordFiles,
    line: labels_file.Line | None,
    taken: Taken,
    stored: list[str],
) -> None:
    """One record: stored and a member; where it cannot be one, nothing of it is kept."""
    record_id = records.new_record_id()
    try:
        upload = _upload(intake, opened, group, line)
        row, made = records.add(
            session, intake.store, upload, record_id=record_id, limits=intake.limits
        )
        if made:
            stored.append(row.id)
        if row.id in taken.named:
            raise UnusableInput(f"the same bytes as {taken.named[row.id]}")
        try:
            member = _member(intake, row, group, line)
        except UnusableInput:
            if made:
                records.remove(session, intake.project_id, row.id)
                records.discard_files(intake.store, stored.pop())
            raise
    finally:
        _empty(intake)
    taken.named[row.id] = group.name
    taken.members.append(member)


def _upload(
    intake: Intake,
    opened: OpenedArchive,
    group: RecordFiles,
    line: labels_file.Line | None,
) -> Upload:
    """The record's files unpacked to a folder, as if they had been uploaded alone."""
    incoming, work = (intake.workspace / name for name in FOLDERS)
    incoming.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    sources = [opened.extracted(p, incoming / str(n)) for n, p in enumerate(group.paths)]
    return Upload(
        project_id=intake.project_id,
        sources=sources,
        workspace=work,
        patient_id=line.patient if line is not None else None,
        hints=intake.hints,
    )


def _empty(intake: Intake) -> None:
    """The folders stay for the next record: to remove one costs as much as to read a record."""
    for name in FOLDERS:
        for path in (intake.workspace / name).glob("*"):
            if path.is_dir():  # some readers make one
                shutil.rmtree(path)
            else:
                path.unlink()


def _member(
    intake: Intake, row: RecordRow, group: RecordFiles, line: labels_file.Line | None
) -> Member:
    made = member_of(
        intake.store,
        row,
        task=intake.task,
        patient=line.patient if line is not None else None,
        label=line.label if line is not None else None,
    )
    return replace(made, name=group.name)


def _labels(
    intake: Intake, opened: OpenedArchive, sent: SourceFile | None, inside: Sequence[str]
) -> Labels:
    """From the file that came beside the archive, or from the one in it; not from both."""
    needs_label = intake.task != BEATS
    if len(inside) + (sent is not None) > 1:
        raise MalformedInput(f"there is more than one {labels_file.NAME}; send one")
    if sent is not None:
        return parsed_labels(sent, needs_label=needs_label)
    if inside:
        file = opened.extracted(inside[0], intake.workspace / labels_file.NAME)
        return parsed_labels(file, needs_label=needs_label)
    if needs_label:
        raise UnusableInput(
            f"records for {intake.task} need their labels: put a {labels_file.NAME} "
            f"({','.join(labels_file.COLUMNS)}) into the archive, or send it as a second part"
        )
    return Labels()


class _HeaderTexts:
    """What the headers of an archive say, as far as names of files go; within limits."""

    def __init__(self, opened: OpenedArchive) -> None:
        self._opened, self._room = opened, ALL_HEADERS_BYTES

    def __call__(self, path: str) -> str:
        text = self._opened.beginning(path, HEADER_BYTES)
        self._room -= len(text)
        if self._room < 0:
            raise TooLarge(
                f"the headers of {self._opened.name} have more than {ALL_HEADERS_BYTES:,} bytes"
            )
        return text.decode("utf-8", errors="replace")


def remove_records(intake: Intake, record_ids: Iterable[str]) -> None:
    """Removes records that were stored for a dataset that is not made; one in use stays."""
    for record_id in record_ids:
        try:
            with intake.sessions.begin() as session:
                records.remove(session, intake.project_id, record_id)
            records.discard_files(intake.store, record_id)
        except EctopyError as problem:
            log.warning("dataset.record_left", record_id=record_id, reason=problem.detail)
