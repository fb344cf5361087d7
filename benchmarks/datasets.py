"""How long a dataset of many small records takes: read, stored, audited; then sent again.

    python -m benchmarks.datasets [records]

Made two-lead records of 10 s with annotations, in one archive, through the service's own functions
on a real Postgres. Prints records a second, this process's own time a record (which other work on
the machine does not change much), and the most memory that it took beyond what it had before.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from sqlalchemy.engine import make_url

from ectopy.commands.migrate import bring_up
from ectopy.serve.embedded import embedded_servers
from services.access.caller import DEFAULT_PROJECT
from services.datasets import service as datasets
from services.datasets.intake import Intake
from services.db.session import SessionFactory, engine_for, session_factory
from services.ecg.readers.base import Limits, SourceFile
from services.settings import Settings
from services.storage.base import Store
from services.storage.factory import store_for
from tests.labelled import beats_record


def archive(path: Path, n_records: int) -> SourceFile:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for n in range(n_records):
            for name, content in beats_record(f"r{n:05d}", n, duration_s=10.0).items():
                packed.writestr(name, content)
    return SourceFile("records.zip", path)


def made(
    sessions: SessionFactory, store: Store, source: SourceFile, folder: Path
) -> tuple[float, float]:
    """Seconds, and seconds of this process on a processor."""
    started, used = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        into = Intake(
            sessions=sessions,
            store=store,
            project_id=DEFAULT_PROJECT,
            task="beats",
            limits=Limits(),
            max_records=100_000,
            max_bytes=1 << 34,
            workspace=Path(workspace),
        )
        taken = datasets.taken_from_archive(into, source, None)
        with sessions.begin() as session:
            datasets.created(
                session,
                store,
                datasets.DatasetRequest("benchmark", "beats"),
                taken,
                project_id=DEFAULT_PROJECT,
                dataset_id=datasets.new_dataset_id(),
            )
    return time.perf_counter() - started, time.process_time() - used


def main(n_records: int) -> None:
    with tempfile.TemporaryDirectory() as name, embedded_servers(Path(name)) as (database, broker):
        folder = Path(name)
        bring_up(make_url(database))
        settings = Settings(
            _env_file=None, data_dir=folder / "data", database_url=database, broker_url=broker
        )
        sessions = session_factory(engine_for(settings.database))
        source = archive(folder / "records.zip", n_records)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for what in ("new", "again"):
            took, used = made(sessions, store_for(settings), source, folder)
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(
                f"{what:6} {n_records} records in {took:.1f} s, {n_records / took:.0f} a second, "
                f"{1000 * used / n_records:.1f} ms of this process each, at most "
                f"{more:.0f} MiB more"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
