"""What must hold of a service after whatever was done to it: in the database and in the store."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy.engine import make_url

from reliability.clients import Accepted
from reliability.fine_tuning import NAME
from services import ids

END_PATIENCE_S = 600.0


class Held(Protocol):
    """Where a service keeps everything."""

    @property
    def data(self) -> Path:
        """Its folder."""
        ...

    def database_url(self) -> str:
        """As psycopg takes it."""


def checked(service: Held, accepted: Accepted) -> list[str]:
    """The invariants, in the database and in the store."""
    with psycopg.connect(service.database_url(), autocommit=True) as database:
        problems = _waited_until_all_ended(database)
        problems += _each_has_one_result(database, accepted)
        problems += _each_ended_once(database)
        problems += _fine_tunes_became_models(database, accepted)
        problems += _none_began_anew(database, accepted)
        problems += _records_are_there_once(database, accepted)
        problems += _files_and_rows_agree(database, service)
    return problems


def _waited_until_all_ended(database: psycopg.Connection) -> list[str]:
    deadline = time.monotonic() + END_PATIENCE_S
    query = "select id, status, attempts from jobs where finished_at is null"
    while left := database.execute(query).fetchall():
        if time.monotonic() > deadline:
            return [f"not ended after {END_PATIENCE_S:g} s: {left[:5]} of {len(left)}"]
        time.sleep(0.5)
    return []


def _records_are_there_once(database: psycopg.Connection, accepted: Accepted) -> list[str]:
    rows = {row[0] for row in database.execute("select id from records")}
    problems = [f"accepted, and gone: {one}" for one in set(accepted.records.values()) - rows]
    query = "select array_agg(id) from records group by project_id, sha256 having count(*) > 1"
    return problems + [f"the same bytes: {row[0]}" for row in database.execute(query)]


def _each_has_one_result(database: psycopg.Connection, accepted: Accepted) -> list[str]:
    query = (
        "select p.id, j.status, count(i.*), count(i.summary), count(i.beats), j.error::text, "
        "min(i.record_id) "
        "from predictions p join jobs j on j.id = p.job_id "
        "left join prediction_items i on i.prediction_id = p.id group by 1, 2, 6"
    )
    rows = {row[0]: row[1:] for row in database.execute(query)}
    promised = list(accepted.predictions.values())
    print(f"predictions ended as: {dict(Counter(row[0] for row in rows.values()))}")
    problems = [f"accepted, and gone: {one}" for one in promised if one not in rows]
    problems += unpromised({one: row[-1] for one, row in rows.items()}, accepted)
    problems += [
        f"accepted twice: {n} times {one}" for one, n in Counter(promised).items() if n > 1
    ]
    problems += [f"{one}: {row}" for one, row in rows.items() if row[:4] != ("succeeded", 1, 1, 1)]
    return problems


def unpromised(found: Mapping[str, str], accepted: Accepted) -> list[str]:
    """More predictions of a record than were promised and may have been. found: record by id."""
    beside: defaultdict[str, list[str]] = defaultdict(list)
    for one in set(found) - set(accepted.predictions.values()):
        beside[found[one]].append(one)
    print(
        f"without a key: {accepted.unsure.total()} requests for a prediction of which nobody knew "
        f"whether they were accepted; {sum(map(len, beside.values()))} were"
    )
    return [
        f"made, and never accepted: {', '.join(sorted(made))} of {record}, "
        f"where {accepted.unsure[record]} may have been"
        for record, made in beside.items()
        if len(made) > accepted.unsure[record]
    ]


def _each_ended_once(database: psycopg.Connection) -> list[str]:
    doubled = "select resource_id, count(*) from jobs group by 1 having count(*) > 1"
    problems = [f"several jobs of {row[0]}" for row in database.execute(doubled)]
    ends = (
        "select job_id, count(*) from job_events where kind = 'status' and "
        "data->>'status' in ('succeeded', 'failed', 'cancelled') group by 1 having count(*) <> 1"
    )
    return problems + [f"{row[0]} ended {row[1]} times" for row in database.execute(ends)]


def _fine_tunes_became_models(database: psycopg.Connection, accepted: Accepted) -> list[str]:
    """Each succeeded, through all its epochs, and is one version that no other one is."""
    query = (
        "select f.id, j.status, jsonb_array_length(f.history) = "
        "(f.hyperparameters->>'epochs')::int, f.result_version, j.error::text "
        "from fine_tunes f join jobs j on j.id = f.job_id"
    )
    rows = {row[0]: row[1:] for row in database.execute(query)}
    promised = set(accepted.fine_tunes.values())
    print(f"fine-tunes ended as: {dict(Counter(row[0] for row in rows.values()))}")
    problems = [f"accepted, and gone: {one}" for one in promised - set(rows)]
    problems += [f"made, and never accepted: {one}" for one in set(rows) - promised]
    problems += [f"{one}: {row}" for one, row in rows.items() if row[:2] != ("succeeded", True)]
    became = sorted(row[2] for row in rows.values() if row[2] is not None)
    versions = "select version from model_versions where name = %s order by version"
    there = [row[0] for row in database.execute(versions, [NAME])]
    if became != there:
        problems.append(f"fine-tunes became versions {became}, and there are {there}")
    return problems


def _none_began_anew(database: psycopg.Connection, accepted: Accepted) -> list[str]:
    """After a checkpoint at an update, no later one is of an earlier update."""
    query = (
        "select f.id, e.kind, e.data->>'kind', (e.data->>'update')::int, e.data->>'status' "
        "from fine_tunes f join job_events e on e.job_id = f.job_id order by e.id"
    )
    kept: defaultdict[str, int] = defaultdict(int)
    began: Counter[str] = Counter()
    went_on: Counter[str] = Counter()
    problems = []
    for fine_tune, kind, which, update, status in database.execute(query):
        if kind == "status" and status == "running":
            began[fine_tune] += 1
            went_on[fine_tune] += kept[fine_tune] > 0
        if kind != "checkpoint" or which != "last":
            continue
        if update < kept[fine_tune]:
            problems.append(f"{fine_tune} fell back from update {kept[fine_tune]} to {update}")
        kept[fine_tune] = update
    print(
        f"attempts at {len(accepted.fine_tunes)} fine-tunes: {sum(began.values())}, of which "
        f"{sum(went_on.values())} went on from a checkpoint"
    )
    return problems


def _files_and_rows_agree(database: psycopg.Connection, service: Held) -> list[str]:
    """A crash may leave files that no row names: upkeep's own search has to find all of them."""
    from services.db.session import engine_for, session_factory
    from services.fine_tunes import service as fine_tunes
    from services.records import service as records
    from services.settings import Settings
    from services.storage.factory import store_for

    store = store_for(Settings(_env_file=None, data_dir=service.data))
    url = service.database_url().replace("postgresql://", "postgresql+psycopg://")
    engine = engine_for(make_url(url))
    with session_factory(engine)() as session:
        left = records.orphan_files(session, store, before_id=ids.id_at("rec", time.time()))
        swept = fine_tunes.remove_orphans(session, store, before_id=ids.id_at("ft", time.time()))
    engine.dispose()
    for record_id in left:
        records.discard_files(store, record_id)
    rows = {row[0] for row in database.execute("select id from records")}
    there = {path.name for path in (service.data / "store" / "records").iterdir()}
    print(
        f"{len(rows)} records; files of {len(left)} that a kill left behind were swept, and "
        f"{len(swept)} folders of models"
    )
    problems = [f"a row without files: {one}" for one in rows - there]
    problems += [f"files without a row: {one}" for one in there - rows]
    query = "select location from model_versions where location like 'store:%'"
    rows = {row[0].rsplit("/", 1)[-1] for row in database.execute(query)}
    folder = service.data / "store" / "models"
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    problems += [f"a version without files: {one}" for one in rows - there]
    return problems + [f"files without a version: {one}" for one in there - rows]
