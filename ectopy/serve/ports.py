"""Which port each part listens on: the one of last time, else the next that is free."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder

LOOPBACK = "127.0.0.1"
FIRST_PORTS = {"postgres": 15432, "valkey": 16379}
TRIES = 200
LAST_PORT = 65535


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


def next_free(first: int, host: str = LOOPBACK) -> int:
    """The first free port from `first` on."""
    last = min(first + TRIES - 1, LAST_PORT)
    for port in range(first, last + 1):
        if is_free(port, host):
            return port
    raise CannotServe(f"no free port on {host} among {first} to {last}")


def for_server(folder: DataFolder, name: str, *, say: Callable[[str], None]) -> int:
    """The port that a server of this folder had last time, else the next free one."""
    last = remembered(folder).get(name)
    if last is not None and is_free(last):
        return last
    port = next_free(FIRST_PORTS[name])
    if last is not None:
        say(f"port {last}, where {name} was last time, is taken: it takes {port}")
    return port


def for_api(host: str, port: int, *, fixed: bool, say: Callable[[str], None]) -> int:
    """The API's port; if it is taken, the next free one, unless that very port was asked for."""
    if is_free(port, host):
        return port
    if fixed:
        raise CannotServe(
            f"cannot listen on {host}:{port}: another program does, or you may not. "
            "Choose another port, or leave it out and the next free one is taken."
        )
    other = next_free(port + 1, host)
    say(f"port {port} is taken by another program: the API takes {other}")
    return other


def remembered(folder: DataFolder) -> dict[str, int]:
    """The ports of the last start; none of them if the file is missing or damaged."""
    try:
        ports = json.loads(folder.ports_file.read_text())
        return {name: int(ports[name]) for name in FIRST_PORTS if name in ports}
    except (OSError, ValueError, TypeError):
        return {}


def remember(folder: DataFolder, name: str, port: int) -> None:
    draft = folder.ports_file.with_suffix(".new")
    draft.write_text(json.dumps({**remembered(folder), name: port}))
    draft.replace(folder.ports_file)
