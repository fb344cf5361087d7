"""A real Postgres and a real Valkey for as long as a block runs: what the tests stand on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ectopy.serve import processes
from ectopy.serve.folder import DataFolder
from ectopy.serve.orphans import stop_orphans
from ectopy.serve.servers import start_postgres, start_valkey


@contextmanager
def embedded_servers(data_dir: Path) -> Iterator[tuple[str, str]]:
    """Start both on `data_dir`, yield their URLs (database, broker), stop them again.

    Call it from the main thread (see `processes.start`). Should we be killed, they end too.
    """
    folder = DataFolder.open(data_dir)
    with folder.locked(), ExitStack() as children:
        stop_orphans(folder)
        database, child = start_postgres(folder, say=print, pause=time.sleep)
        children.callback(processes.stop, child)
        broker, child = start_valkey(folder, say=print, pause=time.sleep)
        children.callback(processes.stop, child)
        yield database.url, broker.url
