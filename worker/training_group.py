"""The processes of one training run: one for each GPU, the first of which starts the others.

They find one another by the variables that `torchrun` sets, on one machine.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
import torch.distributed as dist

from services.jobs.lifecycle import JobClaim

_RANK, _SIZE = "RANK", "WORLD_SIZE"


@dataclass(frozen=True)
class TrainingGroup:
    """This process among those of a run; `others` are those that the first one has started."""

    leads: bool
    device: str
    others: tuple[subprocess.Popen[bytes], ...] = ()


@contextmanager
def training_group(claim: JobClaim, device: str, *, processes: int) -> Iterator[TrainingGroup]:
    """Joins the run's other processes, or starts them; alone where there is one device."""
    size = processes or (torch.cuda.device_count() if device == "cuda" else 1)
    others: tuple[subprocess.Popen[bytes], ...] = ()
    if _RANK not in os.environ:
        if size == 1:
            yield TrainingGroup(leads=True, device=device)
            return
        others = _started(claim, size)
    rank = int(os.environ[_RANK])
    own = f"cuda:{rank % torch.cuda.device_count()}" if device == "cuda" else device
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield TrainingGroup(leads=rank == 0, device=own, others=others)
    finally:
        for other in others:
            if other.poll() is None:
                other.kill()
        dist.destroy_process_group()


def _started(claim: JobClaim, size: int) -> tuple[subprocess.Popen[bytes], ...]:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), _SIZE: str(size)}
    command = [sys.executable, "-m", "worker.training_process", json.dumps(asdict(claim))]
    others = tuple(
        subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | {_RANK: str(rank)})
        for rank in range(1, size)
    )
    os.environ[_RANK] = "0"
    return others


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
