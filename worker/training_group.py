"""The processes of one training run: one for each GPU, the first of which starts the others.

They find one another by the variables that `torchrun` sets, on one machine or on several. None goes
on without the others: where one dies, the first dies too and leaves its job to the next attempt,
and the kernel ends the rest with it; on other machines their own watch does.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import structlog
import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from worker.meeting import listening_at, use_interface_of

log = structlog.get_logger()

HERE = "127.0.0.1"
JOIN = timedelta(minutes=3)  # until all have loaded torch and called
WORK = timedelta(hours=2)  # that one may be waited for: the first validates while the others wait
# A killed process closes its connections a little before its parent can see that it is dead.
DEATH_SEEN_S = 5.0
LOOK_S = 0.05
_HOST, _PORT, _RANK, _SIZE = "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"
_MACHINE, _LOCAL_RANK, _LOCAL_SIZE = "GROUP_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"


class Machines(Protocol):
    """Those of other machines, as the first process knows them."""

    death_seen_s: float  # the longest that the death of one of them may go unnoticed

    def has_lost_one(self) -> bool:
        """Whether the processes of one of them have died, or it is not heard of any more."""
        ...

    def one_leaves(self) -> bool:
        """Whether the worker of one of them is told to stop."""
        ...

    def dismiss(self) -> None:
        """The attempt is over."""
        ...


class NoMachines:
    """All processes are on this one."""

    death_seen_s = 0.0

    def has_lost_one(self) -> bool:
        """There is none to lose."""
        return False

    def one_leaves(self) -> bool:
        """Nor to leave."""
        return False

    def dismiss(self) -> None:
        """Nor to dismiss."""


@dataclass(frozen=True)
class Share:
    """A machine's part of a group. host, port: of the first process of all.

    machine: its number; that of the first process is 0. first_rank: of the machine's processes.
    """

    host: str
    port: int
    size: int
    machine: int
    first_rank: int
    processes: int

    def variables(self, local_rank: int) -> dict[str, str]:
        """What `torchrun` would tell one of the machine's processes."""
        return {
            _HOST: self.host,
            _PORT: str(self.port),
            _SIZE: str(self.size),
            _RANK: str(self.first_rank + local_rank),
            _MACHINE: str(self.machine),
            _LOCAL_RANK: str(local_rank),
            _LOCAL_SIZE: str(self.processes),
        }

    def started(self, command: Sequence[str]) -> tuple[subprocess.Popen[bytes], ...]:
        """The machine's other processes; its first one is this. All of them know their ranks."""
        os.environ |= self.variables(0)
        return tuple(
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, env=os.environ | self.variables(local_rank)
            )
            for local_rank in range(1, self.processes)
        )


@dataclass(frozen=True)
class TrainingGroup:
    """This process among those of a run; `others` are those that it has started."""

    rank: int
    size: int
    device: str
    store: TCPStore | None = None
    others: tuple[subprocess.Popen[bytes], ...] = ()
    machines: Machines = field(default_factory=NoMachines)

    @classmethod
    def following(
        cls, device: str, others: tuple[subprocess.Popen[bytes], ...] = ()
    ) -> TrainingGroup:
        """One that another has started, as the environment says."""
        return cls(
            int(os.environ[_RANK]),
            int(os.environ[_SIZE]),
            _own(device, int(os.environ[_LOCAL_RANK])),
            _store(os.environ[_HOST], int(os.environ[_PORT])),
            others,
        )

    @classmethod
    def led(cls, command: Sequence[str], device: str, *, processes: int) -> TrainingGroup:
        """The first of as many processes of this machine; alone where it is one.

        command: of a process of the run, which then is `following`.
        """
        if processes == 1:
            return cls(0, 1, device)
        listening = listening_at(HERE)
        port = listening.getsockname()[1]
        share = Share(HERE, port, processes, machine=0, first_rank=0, processes=processes)
        return cls.led_from(listening, share, command, device)

    @classmethod
    def led_from(
        cls,
        listening: socket.socket,
        share: Share,
        command: Sequence[str],
        device: str,
        machines: Machines | None = None,
    ) -> TrainingGroup:
        """The first of a group that meets where this socket listens."""
        use_interface_of(listening)
        store = _store(share.host, share.port, listening)
        others = share.started(command)
        return cls(0, share.size, _own(device, 0), store, others, machines or NoMachines())

    @staticmethod
    def is_assigned() -> bool:
        """Whether another process has started this one as a part of its group."""
        return _RANK in os.environ

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
            if self.device.startswith("cuda"):
                torch.cuda.set_device(self.device)
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
        while not self._one_is_dead():
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_S)
        return True

    def _one_is_dead(self) -> bool:
        dead = any(other.poll() not in (None, 0) for other in self.others)
        return dead or self.machines.has_lost_one()

    @contextmanager
    def none_alone(self) -> Iterator[None]:
        """Around work together: an error that is another's death is no error of the work."""
        try:
            yield
        except RuntimeError as error:  # what torch raises when a connection breaks
            within_s = DEATH_SEEN_S + self.machines.death_seen_s
            if self.size > 1 and self.has_lost_one(within_s=within_s):
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


def processes_of(device: str, setting: int) -> int:
    """How many a run has on this machine; setting: 0 is one for each device."""
    return setting or (torch.cuda.device_count() if device == "cuda" else 1)


def _store(host: str, port: int, listening: socket.socket | None = None) -> TCPStore:
    """The group's; torch's own would listen on every interface, and nobody is asked who he is."""
    return TCPStore(
        host,
        port,
        is_master=listening is not None,
        timeout=JOIN,
        wait_for_workers=False,
        master_listen_fd=None if listening is None else listening.detach(),
    )


def _own(device: str, local_rank: int) -> str:
    return f"cuda:{local_rank % torch.cuda.device_count()}" if device == "cuda" else device
