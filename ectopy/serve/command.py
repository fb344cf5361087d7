"""`ectopy serve`: database, broker, API and worker on this machine, until somebody ends it."""

from __future__ import annotations

import os
import sys

from services.settings import Settings


def serve(settings: Settings, *, reload: bool = False) -> int:
    """Run everything in `settings.data_dir` and return the exit code.

    An `api_port` that was set is insisted upon; the default gives way where it is taken. Call it
    from the main thread. `reload` starts API and worker again when their code changes.
    """
    if sys.platform == "win32":
        show("On Windows start Ectopy with Docker (`docker compose up`), or inside WSL.")
        return 1
    # not to be imported where there is no `fcntl`
    from ectopy.serve.everything import serve_everything

    return serve_everything(settings, reload=reload, show=show)


def show(line: str) -> None:
    """To the terminal; one that has gone away is no reason to end."""
    try:
        print(line, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of the process
