"""Processes that add up numbers together for ever: `python -m tests.worker.small_group [joins]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from worker.training_group import TrainingGroup


def main(size: int, folder: Path, fault: str) -> None:
    command = (sys.executable, "-m", "tests.worker.small_group", *sys.argv[1:])
    assigned = TrainingGroup.is_assigned()
    group = (
        TrainingGroup.following("cpu")
        if assigned
        else TrainingGroup.led(command, "cpu", processes=size)
    )
    (folder / f"pid-{group.rank}").write_text(str(os.getpid()))
    if fault == "early" and not group.leads:
        sys.exit(1)
    with group.joined(), group.none_alone():
        for turn in range(1_000_000):
            total = torch.ones(1)
            dist.all_reduce(total)
            assert total.item() == size
            if turn == 10:
                (folder / f"works-{group.rank}").touch()
                if fault == "own" and group.leads:
                    raise RuntimeError("an error of the work")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
