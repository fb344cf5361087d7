"""Starts the API: `python -m api`, in as many processes as the settings say.

uvicorn looks after them: it starts again one that dies, and ends all when it is told to end.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile

import uvicorn

from api import processes
from services.settings import Settings
from services.storage.factory import workspaces
from services.telemetry import configure_logging

PATIENCE_S = 10  # for requests that are under way when we are to end
# longer than clients and proxies keep a connection that rests (a minute, for most): whoever closes
# first must be the one who asks, or a request may meet a connection that is just being closed
KEEP_ALIVE_S = 75
# a process that says nothing for so long is ended and started again; one that is only slow, on a
# machine that has much else to do, must not be
HANGS_AFTER_S = 60
LOOPBACK = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m api", description="Starts Ectopy's API.")
    parser.add_argument(
        "--reload-dir",
        action="append",
        help="one process, started again when the code in there changes",
    )
    folders = parser.parse_args().reload_dir
    settings = Settings()
    count = 1 if folders else processes.chosen_count(settings)
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # with what is to be tidied up
    with processes.shared_folder() as folder:
        # not before: where a shared folder has to be among temporary files, upkeep must not find it
        _spool_where_there_is_room(settings)
        os.environ[processes.FOLDER] = str(folder)
        os.environ["ECTOPY_API_PROCESSES"] = str(count)
        uvicorn.run(
            "api.main:create_app",
            factory=True,
            host=settings.api_host,
            port=settings.api_port,
            workers=count,
            reload=bool(folders),
            reload_dirs=folders,
            server_header=False,
            log_config=None,  # in the form of our own lines; each answer has one, with its id
            log_level="info",
            access_log=False,
            timeout_graceful_shutdown=PATIENCE_S,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_worker_healthcheck=HANGS_AFTER_S,
            # whoever calls from this machine may call, so nobody else may claim to: only a proxy on
            # this machine is believed when it says for whom it asks, whatever the environment
            # (FORWARDED_ALLOW_IPS) would allow
            proxy_headers=True,
            forwarded_allow_ips=LOOPBACK,
        )
        if not processes.has_started(folder):  # of one process alone uvicorn says so itself
            sys.exit(processes.STARTUP_FAILURE)


def _spool_where_there_is_room(settings: Settings) -> None:
    """Large uploads come in on the data volume: a /tmp may be memory, or everybody's."""
    if "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = str(workspaces(settings).resolve())  # of our processes as well
        tempfile.tempdir = None  # to be asked for again


if __name__ == "__main__":
    main()
