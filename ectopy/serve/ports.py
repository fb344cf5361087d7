"""Which port each part listens on: the one of last time, else the next that is free."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable

from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder

LOOPBACK = "127.0.0.1"
FIRST_PORTS = {"postgres": 15432, "valkey": 16379}
TRIES = 200


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether nobody listens on it and we could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # as servers do: connections of the last run that still linger are no hindrance
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def next_free(first: int, host: str = LOOPBACK, *, avoid: Iterable[int] = ()) -> int:
    """The first free port from `first` on."""
    taken = set(avoid)
    for port in range(first, min(first + TRIES, 65536)):
        if port not in taken and is_free(port, host):
            return port
    raise CannotServe(f"no free port on {host} among {first} to {first + TRIES - 1}")


def remembered(folder: DataFolder) -> dict[str, int]:
    """The ports of the last start; none of them if the file is missing or damaged."""
    try:
        ports = json.loads(folder.ports_file.read_text())
        return {name: int(ports[name]) for name in FIRST_PORTS if name in ports}
    except (OSError, ValueError, TypeError):
        return {}


def remember(folder: DataFolder, ports: dict[str, int]) -> None:
    draft = folder.ports_file.with_suffix(".new")
    draft.write_text(json.dumps(ports))
    draft.replace(folder.ports_file)
