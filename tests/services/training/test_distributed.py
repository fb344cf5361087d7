"""Two processes (gloo) train as one does with the same effective batch."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from services.errors import Cancelled, Interrupted
from services.training.distributed import World
from services.training.plan import LAST
from services.training.progress import NoProgress
from tests.services.training.small_run import PLAN, Points, run

PROCESSES = get_context("forkserver")
# 37 items in batches of 16, in three micro-batches: shares are uneven, and one is empty
EVEN = replace(PLAN, accumulation=3, epochs=3)


def plain_network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))


class Stopping(NoProgress):
    """Asks to stop at one of the questions, counted from 1."""

    def __init__(self, at: int) -> None:
        self.left = at

    def check_cancelled(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Cancelled("enough")


def train(folder: Path, *, noisy: bool, stop_at: int = 0) -> nn.Module:
    data = Points(37, jitter=0.1 if noisy else 0.0)
    module = plain_network()
    if noisy:
        module.append(nn.Dropout(0.1))
    return run(folder, EVEN, module=module, data=data, progress=Stopping(stop_at))[1]


def one_of_two(rank: int, folder: str, noisy: bool, stop_at: int) -> None:
    meeting = f"file://{folder}/meeting-{stop_at}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    try:
        module = train(Path(folder), noisy=noisy, stop_at=stop_at if rank == 0 else 0)
        torch.save(module.state_dict(), f"{folder}/weights-{rank}.pt")
    except Cancelled:
        assert stop_at
    dist.destroy_process_group()


def run_two(folder: Path, *, noisy: bool, stop_at: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    processes = [
        PROCESSES.Process(target=one_of_two, args=(rank, str(folder), noisy, stop_at))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0


def weights_of_two(folder: Path) -> list[dict[str, torch.Tensor]]:
    return [torch.load(folder / f"weights-{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", noisy=False).state_dict()
    run_two(tmp_path / "two", noisy=False)
    for together in weights_of_two(tmp_path / "two"):
        for name, tensor in alone.items():
            assert torch.allclose(tensor, together[name], atol=1e-6), name


def test_two_processes_stop_together_and_go_on_to_the_same_weights(tmp_path: Path) -> None:
    run_two(tmp_path / "one", noisy=True)
    run_two(tmp_path / "other", noisy=True, stop_at=5)
    assert not (tmp_path / "other" / "weights-0.pt").exists()
    run_two(tmp_path / "other", noisy=True)
    one, other = weights_of_two(tmp_path / "one"), weights_of_two(tmp_path / "other")
    for name, tensor in one[0].items():
        assert torch.equal(tensor, one[1][name])
        assert torch.equal(tensor, other[0][name])


def hungry(output: Tensor, target: Tensor) -> Tensor:
    """Fits the first process in any size, the second one item at a time."""
    if dist.get_rank() == 1 and len(target) > 1:
        raise torch.OutOfMemoryError("simulated")
    return nn.functional.cross_entropy(output, target, reduction="none")


def one_short_of_memory(rank: int, folder: str, attempt: int) -> None:
    meeting = f"file://{folder}/meeting-{attempt}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    plan, data, told = replace(EVEN, accumulation=1), Points(37, jitter=0.0), Told()
    try:
        _, module = run(
            Path(folder), plan, module=plain_network(), data=data, loss=hungry, progress=told
        )
    except Interrupted:
        sys.exit(3)
    except RuntimeError:
        sys.exit(4)  # the other has closed its connection
    finally:
        Path(folder, f"told-{rank}").write_text("\n".join(told.messages))
    torch.save(module.state_dict(), f"{folder}/weights-{rank}.pt")
    dist.destroy_process_group()


def one_of_two_machines(rank: int, folders: list[str], meeting: str, stop_at: int) -> None:
    os.environ |= {"GROUP_RANK": str(rank), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    folder = Path(folders[rank])
    try:
        module = train(folder, noisy=False, stop_at=stop_at if rank == 0 else 0)
        torch.save(module.state_dict(), folder / "weights.pt")
    except Cancelled:
        assert stop_at
    dist.destroy_process_group()


def run_on_two_machines(folders: list[Path], meeting: Path, *, stop_at: int = 0) -> None:
    for folder in folders:
        folder.mkdir(exist_ok=True)
    names = [str(folder) for folder in folders]
    processes = [
        PROCESSES.Process(target=one_of_two_machines, args=(rank, names, str(meeting), stop_at))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0


def test_machines_that_share_no_disk_give_the_weights_of_one_process(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", noisy=False).state_dict()
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    run_on_two_machines([first, second], tmp_path / "meeting-1", stop_at=5)
    assert not (second / LAST).exists()  # the first machine writes
    run_on_two_machines([first, third], tmp_path / "meeting-2")
    assert (third / LAST).exists()  # it has come from the first
    for folder in (first, third):
        together = torch.load(folder / "weights.pt", weights_only=True)
        for name, tensor in alone.items():
            assert torch.allclose(tensor, together[name], atol=1e-6), name


def agree(rank: int, folder: str) -> None:
    os.environ |= {"GROUP_RANK": str(rank), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    world, cpu = World.here(), torch.device("cpu")
    said = world.agreed({"f1": 0.1 + 0.2, "none": float("nan")} if rank == 0 else {}, cpu)
    assert said["f1"] == 0.1 + 0.2
    assert math.isnan(said["none"])
    path = Path(folder, f"file-{rank}")
    if rank == 0:
        path.write_bytes(bytes(range(250)) * 400_000)  # in several pieces
    world.fetched(path, cpu)
    dist.destroy_process_group()


def test_what_the_first_process_has_reaches_the_others(tmp_path: Path) -> None:
    processes = [PROCESSES.Process(target=agree, args=(rank, str(tmp_path))) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert (tmp_path / "file-0").read_bytes() == (tmp_path / "file-1").read_bytes()


class Told(NoProgress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.messages += [data["message"]] if kind == "log" else []


def test_too_little_memory_in_one_process_halves_the_micro_batches_of_both(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", noisy=False).state_dict()
    folder = tmp_path / "two"
    folder.mkdir()
    codes = []
    for attempt in range(10):
        processes = [
            PROCESSES.Process(target=one_short_of_memory, args=(rank, str(folder), attempt))
            for rank in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(300)
        codes.append(tuple(process.exitcode for process in processes))
        if codes[-1] == (0, 0):
            break
    # 16 items in 1, 2, 4 and 8 micro-batches: 8, 4, 2 and at last 1 for each process
    assert codes == [(4, 3)] * 3 + [(0, 0)]
    assert "computed 2 items at a time" in (folder / "told-0").read_text()
    for together in weights_of_two(folder):
        for name, tensor in alone.items():
            assert torch.allclose(tensor, together[name], atol=1e-6), name


def test_a_micro_batch_is_shared_out_and_nobody_is_left_without() -> None:
    indices = np.arange(3)
    shares = [World(rank, 4).share(indices) for rank in range(4)]
    assert [own.tolist() for own, _ in shares] == [[0], [1], [2], [0]]
    assert [count for _, count in shares] == [1, 1, 1, 0]
