from __future__ import annotations

import random
import signal
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from services.errors import Cancelled, Interrupted, StateConflict, UnusableInput
from services.training.plan import EnginePlan, Freeze
from services.training.progress import NoProgress
from tests.services.training.small_run import PLAN, Points, network, run, run_killed

# each killed process is a fork of one that has loaded torch and run nothing
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.services.training.small_run"])


class Listener(NoProgress):
    """Keeps what it is told; asks to stop at one of the questions, counted from 1."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.stop_at, self.asked = stop_at, 0

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def check_cancelled(self) -> None:
        self.asked += 1
        if self.asked == self.stop_at:
            raise Cancelled("enough")

    def messages(self) -> str:
        return "\n".join(data["message"] for kind, data in self.events if kind == "log")


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def test_a_run_learns_and_ends_with_its_best_epoch(tmp_path: Path) -> None:
    listener = Listener()
    plan = replace(PLAN, monitor="accuracy", higher_is_better=True)
    outcome, module = run(tmp_path, plan, progress=listener)
    assert not module.training
    assert outcome.epochs == 4
    assert outcome.updates == 4 * 10
    best = max(entry["metrics"]["accuracy"] for entry in outcome.history)
    assert outcome.history[outcome.best_epoch - 1]["metrics"]["accuracy"] == best > 0.8
    answers = module(torch.from_numpy(Points().x)).argmax(dim=1).numpy()
    assert (answers == Points().label).mean() == pytest.approx(best)
    epochs = [data for kind, data in listener.events if kind == "epoch"]
    assert [data["epoch"] for data in epochs] == [1, 2, 3, 4]
    assert epochs[0]["eta_s"] > 0 == epochs[-1]["eta_s"]


def test_the_time_left_is_not_told_before_there_was_an_update_to_tell_it_from(
    tmp_path: Path,
) -> None:
    class EndsBeforeValidation(NoProgress):
        def event(self, kind: str, data: dict[str, Any]) -> None:
            if kind == "checkpoint" and data["update"] == 10:
                raise Cancelled("all updates of the epoch are done")

    with pytest.raises(Cancelled):
        run(tmp_path, replace(PLAN, checkpoint_every_s=0.0), progress=EndsBeforeValidation())
    listener = Listener()
    run(tmp_path, progress=listener)
    told = [data["eta_s"] for kind, data in listener.events if kind == "epoch"]
    assert told[0] is None
    assert told[1] > 0 == told[-1]


@pytest.mark.parametrize("stop_at", [1, 4, 11, 27])
def test_a_cancelled_run_goes_on_to_the_same_weights(tmp_path: Path, stop_at: int) -> None:
    _, undisturbed = run(tmp_path / "one")
    with pytest.raises(Cancelled):
        run(tmp_path / "other", progress=Listener(stop_at))
    random.seed(99)  # what another process would have drawn by now
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    _, resumed = run(tmp_path / "other")
    assert_same_weights(undisturbed, resumed)


def test_killed_at_any_moment_it_ends_with_the_weights_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    plan = replace(PLAN, epochs=20)
    undisturbed, module = run(tmp_path / "one", plan)
    folder, moments = tmp_path / "other", random.Random(7)
    for _ in range(4):
        when = moments.randint(1, 25), moments.uniform(0, 0.004)
        process = PROCESSES.Process(target=run_killed, args=(str(folder), plan.epochs, *when))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    resumed, other = run(folder, plan)
    assert_same_weights(module, other)
    assert resumed.history == undisturbed.history


def test_a_finished_run_goes_on_into_more_epochs(tmp_path: Path) -> None:
    first, _ = run(tmp_path)
    again, _ = run(tmp_path)
    assert again == first
    more, _ = run(tmp_path, replace(PLAN, epochs=6))
    assert more.epochs == 6
    assert more.history[:4] == first.history


def test_a_run_that_no_longer_improves_stops_and_can_be_asked_for_more(tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=30, patience=2, monitor="accuracy")  # as if lower were better
    outcome, _ = run(tmp_path, plan)
    assert outcome.stopped_early
    assert outcome.epochs == outcome.best_epoch + 2 < 30
    more, _ = run(tmp_path, replace(plan, epochs=31))
    assert more.epochs > outcome.epochs


def test_a_loss_that_is_no_number_ends_the_run_with_its_update(tmp_path: Path) -> None:
    calls = 0

    def loss(output: Tensor, target: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        value = nn.functional.cross_entropy(output, target, reduction="none")
        return value * (float("nan") if calls > 2 * 12 else 1.0)

    with pytest.raises(UnusableInput, match=r"loss is nan at update 13 \(epoch 2\)"):
        run(tmp_path, loss=loss)


def test_too_little_memory_halves_the_micro_batch_and_keeps_the_result(tmp_path: Path) -> None:
    def hungry(output: Tensor, target: Tensor) -> Tensor:
        if len(target) > 4:
            raise torch.OutOfMemoryError("simulated")
        return nn.functional.cross_entropy(output, target, reduction="none")

    plan = replace(PLAN, accumulation=1, freeze=())
    data = Points(jitter=0.0)
    one, other = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    other.load_state_dict(one.state_dict())
    listener = Listener()
    run(tmp_path / "one", plan, module=one, data=data)
    run(tmp_path / "other", plan, module=other, data=data, loss=hungry, progress=listener)
    for name, tensor in one.state_dict().items():
        assert torch.allclose(tensor, other.state_dict()[name], atol=1e-5)
    assert "8 items at a time" in listener.messages()
    assert "4 items at a time" in listener.messages()


class HalfStep(torch.optim.AdamW):
    """Once, at its 13th step, moves one weight and has no memory for the others."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        HalfStep.steps += 1
        if HalfStep.steps == 13:
            self.param_groups[0]["params"][0].data.add_(1.0)
            raise torch.OutOfMemoryError("simulated")
        return super().step(closure)


def test_too_little_memory_for_the_optimizer_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    plan, data = replace(PLAN, accumulation=1, freeze=()), Points(jitter=0.0)

    def module() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(2, 2))

    _, undisturbed = run(tmp_path / "one", plan, module=module(), data=data)
    told = Listener()
    half = {"data": data, "optimizer": HalfStep, "progress": told}
    with pytest.raises(Interrupted, match="memory did not suffice"):
        run(tmp_path / "other", plan, module=module(), **half)
    outcome, resumed = run(tmp_path / "other", plan, module=module(), **half)
    assert outcome.epochs == plan.epochs
    assert "computed 8 items at a time" in told.messages()
    for name, tensor in undisturbed.state_dict().items():
        assert torch.allclose(tensor, resumed.state_dict()[name], atol=1e-5), name


def test_too_little_memory_for_one_item_ends_the_run(tmp_path: Path) -> None:
    def starving(output: Tensor, target: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("simulated")

    with pytest.raises(UnusableInput, match="a single item"):
        run(tmp_path, replace(PLAN, accumulation=16), module=nn.Linear(2, 2), loss=starving)


def test_frozen_parameters_stand_still_for_their_epochs(tmp_path: Path) -> None:
    before = network()[0].weight.detach().clone()
    plan = replace(PLAN, epochs=2, average_decay=None, freeze=(Freeze("0.*"),))
    _, frozen = run(tmp_path / "one", plan)
    assert torch.equal(frozen[0].weight, before)
    _, thawed = run(tmp_path / "other", replace(plan, freeze=(Freeze("0.*", updates=12),)))
    assert not torch.equal(thawed[0].weight, before)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_and_keeps_full_weights(tmp_path: Path, precision: Any) -> None:
    outcome, module = run(tmp_path, replace(PLAN, precision=precision))
    assert outcome.history[-1]["metrics"]["accuracy"] > 0.8
    assert next(module.parameters()).dtype == torch.float32


def test_the_workspace_of_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(StateConflict, match="of another run"):
        run(tmp_path, replace(PLAN, batch=8))


class OneGroup(torch.optim.AdamW):
    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__([each for group in groups for each in group["params"]])


def test_a_checkpoint_whose_parameters_were_grouped_otherwise_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(StateConflict, match="start the run anew"):
        run(tmp_path, replace(PLAN, epochs=5), optimizer=OneGroup)


def test_loaders_do_not_change_the_result(tmp_path: Path) -> None:
    _, one = run(tmp_path / "one", replace(PLAN, loaders=0))
    _, other = run(tmp_path / "other", replace(PLAN, loaders=3))
    assert_same_weights(one, other)


@pytest.mark.parametrize("name", ["epochs", "batch", "accumulation"])
def test_a_plan_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EnginePlan(**{"epochs": 1, "batch": 1, name: 0})
