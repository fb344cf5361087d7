"""The members of a dataset as training wants them: lazily, one record in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from services.datasets.row import DatasetMemberRow
from services.db.session import SessionFactory
from services.models.interface import LabelledRecord
from services.records import service as records
from services.storage.base import Store


class StoredRecords(Sequence[LabelledRecord]):
    """A `LabelledRecords` over the store: signals are memory maps. Threads may share it."""

    def __init__(
        self, sessions: SessionFactory, store: Store, members: Sequence[DatasetMemberRow]
    ) -> None:
        self._sessions, self._store, self._members = sessions, store, tuple(members)

    def __len__(self) -> int:
        return len(self._members)

    @overload
    def __getitem__(self, at: int) -> LabelledRecord: ...
    @overload
    def __getitem__(self, at: slice) -> StoredRecords: ...

    def __getitem__(self, at: int | slice) -> LabelledRecord | StoredRecords:
        if isinstance(at, slice):
            return StoredRecords(self._sessions, self._store, self._members[at])
        return self._read(self._members[at])

    def __iter__(self) -> Iterator[LabelledRecord]:
        for member in self._members:
            yield self._read(member)

    @property
    def patients(self) -> tuple[str, ...]:
        """Of each record, without reading any."""
        return tuple(member.patient for member in self._members)

    @property
    def members(self) -> tuple[DatasetMemberRow, ...]:
        """What is known of each record without reading it: counts, label, hash."""
        return self._members

    def of_patients(self, patients: set[str]) -> StoredRecords:
        """Those of some patients."""
        chosen = [member for member in self._members if member.patient in patients]
        return StoredRecords(self._sessions, self._store, chosen)

    def _read(self, member: DatasetMemberRow) -> LabelledRecord:
        with self._sessions() as session:
            row = records.get_of_any_project(session, member.record_id)
        return LabelledRecord(
            record_id=member.record_id,
            patient=member.patient,
            record=records.opened(self._store, row),
            label=member.label,
        )
