"""Parts that go away in the middle: a TCP proxy that cuts, refuses or stalls, and how to wait."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.02


def eventually(look: Callable[[], T], *, within_s: float = 20.0, what: str = "") -> T:
    """The first true thing that `look` gives; AssertionError when time is up."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, what or f"not within {within_s:g} s"
        time.sleep(POLL_S)


class TcpProxy:
    """Passes connections on to a server until it is told to behave badly."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._away = threading.Event()
        self._stalled = threading.Event()
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> TcpProxy:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=5)
        self._listener.close()

    def cut(self) -> None:
        """Every connection breaks, and new ones break as soon as they are made."""
        self._away.set()

    def stall(self) -> None:
        """Connections stay, and nothing comes through."""
        self._stalled.set()

    def restore(self) -> None:
        self._away.clear()
        self._stalled.clear()

    def _accept(self) -> None:
        self._listener.settimeout(POLL_S)
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._pass_on, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client: socket.socket) -> None:
        with client:
            if self._away.is_set():
                return
            with socket.create_connection(self._target) as server:
                other = {client: server, server: client}
                while not (self._ended.is_set() or self._away.is_set()):
                    if self._stalled.is_set():
                        time.sleep(POLL_S)
                        continue
                    ready, _, _ = select.select(list(other), [], [], POLL_S)
                    if self._stalled.is_set() or self._away.is_set():
                        continue  # since this began to wait
                    if not all(_copied(one, other[one]) for one in ready):
                        return


def _copied(source: socket.socket, target: socket.socket) -> bool:
    try:
        data = source.recv(65536)
        target.sendall(data)
    except OSError:
        return False
    return bool(data)
