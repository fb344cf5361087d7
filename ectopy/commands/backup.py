"""`ectopy backup` and `ectopy restore`: database and files together, as one archive.

The database is read in one snapshot, whose records cannot be removed until their files are copied;
files are written once, so no more is needed for the two to agree. What comes in meanwhile is not in
the archive. Passwords and the queue are not either: the one is made anew, the other from the rows.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL

from ectopy.commands.migrate import bring_up
from services import clock, tables
from services.db.migrate import downgrade, knows, upgrade
from services.errors import MalformedInput, StateConflict
from services.settings import Settings
from services.version import code_version

MANIFEST, ROWS, FILES = "manifest.json", "rows/", "store/"
# who is alive now, and who trains with whom, is not so later
LEFT_OUT = frozenset({"workers", "training_groups", "training_places"})
# what a new database has of itself
SHIPPED = frozenset({"models", "model_versions", "answering_versions", "promotions"})
COPY_BYTES = 1024 * 1024
END = bytes(2 * tarfile.BLOCKSIZE)  # of every archive
MAX_MANIFEST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """What went into an archive, or came out of it."""

    rows: Mapping[str, int]
    files: int


def backup(url: URL, settings: Settings, target: Path) -> Kept:
    """Writes the archive, whole or not at all. Files in S3 are left to the bucket's own copies."""
    part = target.with_name(target.name + ".part")
    try:
        with _connected(url) as database, tarfile.open(part, "w") as archive:
            database.execute("set transaction isolation level repeatable read")
            database.execute("select id from records for key share")
            revision = _value(database, "select version_num from alembic_version")
            described = {name: _columns(database, name) for name in _table_names()}
            manifest = {"version": code_version(), "revision": revision, "tables": described}
            manifest["created_at"] = clock.now().isoformat()
            _add(archive, MANIFEST, io.BytesIO(json.dumps(manifest).encode()))
            rows = {
                name: _add_rows(database, archive, name, columns)
                for name, columns in described.items()
            }
            known = {str(row[0]) for row in database.execute("select id from records")}
            files = 0 if settings.storage_url else _add_files(archive, settings.store_dir, known)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return Kept(rows, files)


def restore(url: URL, settings: Settings, source: Path) -> Kept:
    """Fills an empty database and store, both or neither.

    StateConflict for one that holds something, MalformedInput for what is no whole archive.
    """
    with _opened(source) as archive:
        manifest = _manifest(archive)
        _require_end(archive)
        if not knows(url, manifest["revision"]):
            raise MalformedInput("the archive is of a newer version of Ectopy than this one")
        _require_rows(archive, manifest["tables"])
        files = [] if settings.storage_url else _files_in(archive)
        with _connected(url) as database:
            _require_empty(database, settings)
        downgrade(url, "base")
        try:
            upgrade(url, manifest["revision"])
            with _connected(url) as database, _no_records_unless_whole(settings):
                rows = {
                    name: _rows_back(database, archive, name, columns)
                    for name, columns in manifest["tables"].items()
                }
                _files_back(archive, files, settings.store_dir)
                database.commit()
        finally:
            bring_up(url)  # from the archive's version, or as new as before where it failed
    return Kept(rows, len(files))


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source) as archive:
            yield archive
    except tarfile.TarError as error:
        raise MalformedInput(f"this is no whole archive of `ectopy backup`: {error}") from error


@contextmanager
def _no_records_unless_whole(settings: Settings) -> Iterator[None]:
    """There were none before: where it fails, it can be tried again."""
    try:
        yield
    except BaseException:
        if not settings.storage_url:  # else nothing was looked at there, and nothing written
            shutil.rmtree(settings.store_dir / "records", ignore_errors=True)
        raise


@contextmanager
def _connected(url: URL) -> Iterator[psycopg.Connection]:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        yield connection


def _value(database: psycopg.Connection, statement: str) -> Any:
    found = database.execute(statement.encode()).fetchone()
    return found[0] if found else None


def _table_names() -> list[str]:
    """Each before those that refer to it."""
    return [t.name for t in tables.metadata.sorted_tables if t.name not in LEFT_OUT]


def _columns(database: psycopg.Connection, table: str) -> list[str]:
    query = (
        "select column_name from information_schema.columns where table_schema = current_schema() "
        "and table_name = %s order by ordinal_position"
    )
    return [str(row[0]) for row in database.execute(query, [table])]


def _copying(verb: str, table: str, columns: list[str]) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    return sql.SQL("copy {} ({}) {}").format(sql.Identifier(table), names, sql.SQL(verb))


def _add_rows(
    database: psycopg.Connection, archive: tarfile.TarFile, table: str, columns: list[str]
) -> int:
    with tempfile.TemporaryFile() as spool, database.cursor() as cursor:
        with cursor.copy(_copying("to stdout", table, columns)) as rows:
            for chunk in rows:
                spool.write(chunk)
        count = cursor.rowcount
        spool.seek(0)
        _add(archive, ROWS + table, spool)
    return count


def _add_files(archive: tarfile.TarFile, store: Path, records: set[str]) -> int:
    """Files of records that are in the snapshot, and all others: models, checkpoints, imports."""
    count = 0
    for path in sorted(store.rglob("*")):
        key = path.relative_to(store)
        if key.parts[0] == "records" and (len(key.parts) < 2 or key.parts[1] not in records):
            continue
        try:
            with path.open("rb") as file:
                _add(archive, FILES + key.as_posix(), file)
        except (IsADirectoryError, FileNotFoundError):  # a checkpoint makes room for the next
            continue
        count += 1
    return count


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = content.seek(0, io.SEEK_END)
    entry.mode = 0o600
    content.seek(0)
    archive.addfile(entry, content)


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    try:
        entry = archive.getmember(MANIFEST)
        file = archive.extractfile(entry)
        if file is None or entry.size > MAX_MANIFEST_BYTES:
            raise KeyError(MANIFEST)
        found = json.loads(file.read())
        tables = {str(name): list(map(str, columns)) for name, columns in found["tables"].items()}
        return {"revision": str(found["revision"]), "tables": tables}
    except (KeyError, TypeError, AttributeError, ValueError, tarfile.TarError) as error:
        raise MalformedInput("this is no archive that `ectopy backup` made") from error


def _require_empty(database: psycopg.Connection, settings: Settings) -> None:
    for table in _table_names():
        query = sql.SQL("select exists (select from {})").format(sql.Identifier(table))
        found = database.execute(query).fetchone()
        if table not in SHIPPED and found and found[0]:
            raise StateConflict(f"the database is not empty ({table}); restore into a new folder")
    records = settings.store_dir / "records"
    if not settings.storage_url and records.is_dir() and any(records.iterdir()):
        raise StateConflict(f"there are files in {records}; restore into a new folder")


def _require_end(archive: tarfile.TarFile) -> None:
    """For what is cut off between two files reads like an archive that has no more."""
    last = archive.getmembers()[-1]
    blocks = -(-last.size // tarfile.BLOCKSIZE)
    content = cast(IO[bytes], archive.fileobj)
    content.seek(last.offset_data + blocks * tarfile.BLOCKSIZE)
    if content.read(len(END)) != END:
        raise MalformedInput("the archive is cut off: it lacks its end")


def _require_rows(archive: tarfile.TarFile, tables: Iterable[str]) -> None:
    there = {entry.name for entry in archive if entry.isfile()}
    for table in tables:
        if ROWS + table not in there:
            raise MalformedInput(f"the archive lacks the rows of {table}")


def _rows_back(
    database: psycopg.Connection, archive: tarfile.TarFile, table: str, columns: list[str]
) -> int:
    file = cast(IO[bytes], archive.extractfile(ROWS + table))  # None for what is no file
    with database.cursor() as cursor:
        try:
            with cursor.copy(_copying("from stdin", table, columns)) as rows:
                while chunk := file.read(COPY_BYTES):
                    rows.write(chunk)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            raise MalformedInput(f"the archive's rows of {table} are damaged: {error}") from error
        count = cursor.rowcount
        if "id" in columns:
            cursor.execute(
                "select pg_get_serial_sequence(%s, 'id')", [table]
            )  # of tables whose numbers the database gives
            found = cursor.fetchone()
            if found and found[0]:
                highest = sql.SQL("select setval(%s, coalesce(max(id), 0) + 1, false) from {}")
                cursor.execute(highest.format(sql.Identifier(table)), [found[0]])
    return count


def _files_in(archive: tarfile.TarFile) -> list[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Each file with its place under the store's folder: no links, no names that lead out of it.

    By hand, for `tarfile`'s own filter against that is not in the first versions of Python 3.11.
    """
    found = []
    for entry in archive:
        if not entry.name.startswith(FILES) or not entry.isfile():
            continue
        inside = PurePosixPath(entry.name.removeprefix(FILES))
        if inside.is_absolute() or ".." in inside.parts or not inside.parts:
            raise MalformedInput(f"the archive names a file outside of the store: {entry.name!r}")
        found.append((entry, inside))
    return found


def _files_back(
    archive: tarfile.TarFile, files: list[tuple[tarfile.TarInfo, PurePosixPath]], store: Path
) -> None:
    store.mkdir(parents=True, exist_ok=True)
    for entry, inside in files:
        content = cast(IO[bytes], archive.extractfile(entry))  # None for what is no file
        target = store / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # the shipped models are there, and may be links
        with content, target.open("xb") as file:
            shutil.copyfileobj(content, file, COPY_BYTES)
