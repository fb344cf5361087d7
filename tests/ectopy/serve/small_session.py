"""A session of real servers with one tiny program on top, for tests to end in every way.

`python -m tests.ectopy.serve.small_session FOLDER CODE`: CODE is what the program runs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from ectopy.serve.command import show
from ectopy.serve.folder import DataFolder
from ectopy.serve.processes import Program
from ectopy.serve.session import Session


@dataclass(frozen=True)
class TinyProgram:
    folder: DataFolder
    code: str
    name: str = "tiny"
    address: str = ""

    def prepare(self) -> None:
        """It needs nothing."""

    def program(self) -> Program:
        return Program(
            name=self.name,
            command=(sys.executable, "-c", self.code),
            environment=self.folder.environment(),
            log=self.folder.log(self.name),
            stop_patience_s=600,
        )

    def is_ready(self) -> bool:
        return (self.folder.root / "tiny.up").exists()


def start_parts(session: Session) -> None:
    session.start_servers()
    tiny = TinyProgram(session.folder, sys.argv[2])
    session.start(tiny)
    session.wait_until_ready(lambda: "" if tiny.is_ready() else "the tiny program")
    session.show("READY")


if __name__ == "__main__":
    sys.exit(Session(DataFolder.open(Path(sys.argv[1])), show=show).run(start_parts))
