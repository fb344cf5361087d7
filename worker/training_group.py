"""The processes of one training run: one for each GPU, the first of which starts the others.

They find one another by the variables that `torchrun` sets, on one machine. None goes on without
the others: where one dies, the first dies too and leaves its job to the next attempt, and the
kernel ends the rest with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

log = structlog.get_logger()

JOIN = timedelta(minutes=3)  # until all have loaded torch and called
WORK = timedelta(hours=2)  # that one may be waited for: the first validates while the others wait
# A killed process closes its connections a little before its parent can see that it is dead.
DEATH_SEEN_S = 5.0
LOOK_S = 0.05
_HOST, _PORT, _RANK, _SIZE = "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"
_HERE = "127.0.0.1"


@dataclass(frozen=True)
class TrainingGroup:
    """This process among those of a run; `others` are those that the first one has started."""

    rank: int
    size: int
    device: str
    store: TCPStore | None = None
    others: tuple[subprocess.Popen[bytes], ...] = ()

    @classmethod
    def of(cls, command: Sequence[str], device: str, *, processes: int) -> TrainingGroup:
        """As the environment says; else the first of a new one, alone where there is one device.

        command: of a process of the run, which comes here too. processes: how many; 0 is one for
        each device.
        """
        if _RANK in os.environ:
            rank, size = int(os.environ[_RANK]), int(os.environ[_SIZE])
            store = TCPStore(
                os.environ[_HOST], int(os.environ[_PORT]), size, timeout=JOIN,
                wait_for_workers=False,
            )  # fmt: skip
            return cls(rank, size, _own(device, rank), store)
        size = processes or (torch.cuda.device_count() if device == "cuda" else 1)
        if size == 1:
            return cls(0, 1, device)
        # the port is the store's own, so nobody else can have taken it
        store = TCPStore(
            _HERE, 0, size, is_master=True, timeout=JOIN, wait_for_workers=False
        )  # fmt: skip
        return cls(0, size, _own(device, 0), store, _started(command, size, store.port))

    @property
    def leads(self) -> bool:
        """Whether it is the first."""
        return self.rank == 0

    @contextmanager
    def joined(self) -> Iterator[None]:
        """With all of them there; ends those that this one has started. Nothing where it is alone.

        Raises TimeoutError or dist.DistStoreError when one does not come.
        """
        if self.store is None:
            yield
            return
        try:
            self._wait_for_all(self.store)
            backend = "nccl" if self.device.startswith("cuda") else "gloo"
            dist.init_process_group(
                backend, store=self.store, rank=self.rank, world_size=self.size, timeout=WORK
            )
            yield
        finally:
            for other in self.others:
                if other.poll() is None:
                    other.kill()
            if dist.is_initialized():
                dist.destroy_process_group()

    def has_lost_one(self, *, within_s: float = 0.0) -> bool:
        """Whether one of the others has died, or does so soon."""
        deadline = time.monotonic() + within_s
        while not any(other.poll() not in (None, 0) for other in self.others):
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_S)
        return True

    @contextmanager
    def none_alone(self) -> Iterator[None]:
        """Around work together: an error that is another's death is no error of the work."""
        try:
            yield
        except RuntimeError as error:  # what torch raises when a connection breaks
            if self.others and self.has_lost_one(within_s=DEATH_SEEN_S):
                log.warning("training.lost_a_process", reason=type(error).__name__)
                die()
            raise

    def _wait_for_all(self, store: TCPStore) -> None:
        store.set(f"here/{self.rank}", "")
        here = [f"here/{rank}" for rank in range(self.size)]
        if not self.leads:
            store.wait(here, JOIN)
        deadline = time.monotonic() + JOIN.total_seconds()
        while not store.check(here):
            if self.has_lost_one():
                log.warning("training.lost_a_process", reason="it never joined")
                die()
            if time.monotonic() > deadline:
                raise TimeoutError(f"a process of the run did not come within {JOIN}")
            time.sleep(LOOK_S)
        store.set_timeout(WORK)


def die() -> None:
    """At once and without a word, as a killed process does: its worker puts the job back."""
    os.kill(os.getpid(), signal.SIGKILL)


def _own(device: str, rank: int) -> str:
    return f"cuda:{rank % torch.cuda.device_count()}" if device == "cuda" else device


def _started(command: Sequence[str], size: int, port: int) -> tuple[subprocess.Popen[bytes], ...]:
    shared = os.environ | {_HOST: _HERE, _PORT: str(port), _SIZE: str(size)}
    return tuple(
        subprocess.Popen(command, stdin=subprocess.DEVNULL, env=shared | {_RANK: str(rank)})
        for rank in range(1, size)
    )
