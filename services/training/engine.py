"""The one training loop: epochs over a dataset that can be killed at any moment and goes on.

Both families and the commands train through `trained`:

    outcome = trained(
        Training(
            network=network,               # any module; in the end it has the best weights
            data=data,                     # len() and batch(indices, generator)
            loss=nn.CrossEntropyLoss(reduction="none"),
            optimizer=lambda network: AdamW(parameter_groups(network, learning_rate=1e-3)),
            schedule=warmup_cosine(0.1),   # factor on the learning rate, by update
            validate=lambda network: {"macro_f1": ...},  # after each epoch, in evaluation mode
        ),
        EnginePlan(epochs=13, batch=64, patience=5, monitor="macro_f1", higher_is_better=True),
        workspace=folder, device="cpu", progress=progress,
    )

Called again with the same folder it continues from the last checkpoint, which holds weights,
optimizer, scaler, states of the random generators and the place in the epoch; on a CPU with as many
threads the result equals that of an undisturbed run to the bit, whenever it was killed. With more
epochs than before it goes on from the end. For that to hold, `network` must be built from the seed
before the call, and `data.batch` may draw numbers from the generator that it is given alone.

Where torch.distributed is initialized (`torchrun`), each process calls `trained` with the same
arguments and computes its share of every batch through DistributedDataParallel; the result is that
of one process with the same batch, but for the order of sums, and batch norms that see a share.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from services.ecg.record import IntArray
from services.errors import Cancelled, Interrupted, StateConflict, UnusableInput
from services.training import checkpoints
from services.training.average import Average
from services.training.distributed import World
from services.training.freezing import freeze
from services.training.loading import Division, Inputs, Micro, Position, loaded
from services.training.plan import BEST, LAST, EnginePlan, Freeze, Schedule, constant
from services.training.progress import Progress

_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingData(Protocol):
    """Items by index, prepared beforehand: typically slices of memory-mapped arrays."""

    def __len__(self) -> int: ...

    def batch(self, indices: IntArray, generator: torch.Generator) -> tuple[Inputs, Any]:
        """The network's inputs and the loss's target for these items.

        generator: for augmentation; the same for the same place in the run, whatever was killed.
        Called from another thread when the plan has loaders.
        """
        ...


@dataclass(frozen=True)
class Training:
    """What is trained.

    loss: (network's output, target) -> one value an item, (n,), or their mean. One value an item
    (reduction="none") keeps the result the same however a batch is divided.
    order: (random generator of the epoch) -> indices to go through; None shuffles all items.
    """

    network: nn.Module
    data: TrainingData
    loss: Callable[[Any, Any], Tensor]
    optimizer: Callable[[nn.Module], Optimizer]
    validate: Callable[[nn.Module], Mapping[str, float]]
    schedule: Schedule = constant
    order: Callable[[np.random.Generator], IntArray] | None = None


@dataclass
class RunState:
    """Where a run is; the part of a checkpoint that is no tensor.

    update: steps of the optimizer so far. place: items of this epoch that they have used.
    parts: micro-batches a batch, which lack of memory may have raised. waited: epochs since the
    best one. asked_epochs: of the call that stopped early.
    """

    epoch: int = 0
    place: int = 0
    update: int = 0
    parts: int = 1
    loss_sum: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    waited: int = 0
    stopped_early: bool = False
    asked_epochs: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """How a run ended; the network holds the best epoch's weights, in evaluation mode."""

    epochs: int
    best_epoch: int
    stopped_early: bool
    updates: int
    history: list[dict[str, Any]]


def trained(
    training: Training, plan: EnginePlan, *, workspace: Path, device: str, progress: Progress
) -> Outcome:
    """Trains, or goes on training; see the module. The network is changed in place.

    Tells the events `epoch` (epoch, epochs, loss, metrics, learning_rate, eta_s), `checkpoint`
    (kind, epoch, update, metrics) and `log` (message). Raises Cancelled after a last checkpoint,
    UnusableInput naming the update whose loss was no number, or when memory does not suffice for
    a single item; Interrupted where memory does not suffice and several processes train, or it was
    the optimizer that had too little: called again, from the last checkpoint, all of them go on
    with smaller micro-batches.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    run = _Run(training, plan, workspace, torch.device(device), progress)
    run.restore()
    while not run.ended:
        run.epoch()
    return run.outcome()


class _Run:
    def __init__(
        self,
        training: Training,
        plan: EnginePlan,
        workspace: Path,
        device: torch.device,
        progress: Progress,
    ) -> None:
        self.training, self.plan, self.device, self.progress = training, plan, device, progress
        self.workspace = workspace
        self.world = World.here()
        self.network = self.model = training.network.to(device)
        self._fixed = frozenset(
            name for name, each in self.network.named_parameters() if not each.requires_grad
        )
        self.optimizer = training.optimizer(self.network)
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.average = Average.of(self.network, plan.average_decay)
        self.scaler = torch.amp.GradScaler(device.type, enabled=plan.precision == "fp16")
        self.state = RunState(parts=plan.accumulation, asked_epochs=plan.epochs)
        self.length = len(self._order(0))
        self.updates_an_epoch = -(-self.length // plan.batch)
        self._parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        self._held: tuple[Freeze, ...] | None = None
        self._next_checkpoint = time.monotonic() + plan.checkpoint_every_s
        self._started = time.monotonic()
        self._started_at_update = 0

    @property
    def _averaged(self) -> nn.Module | None:
        return self.average.network if self.average is not None else None

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do; a run that stopped early goes on for more epochs."""
        state = self.state
        early = state.stopped_early and self.plan.epochs <= state.asked_epochs
        return early or state.epoch >= self.plan.epochs

    def restore(self) -> None:
        """Takes up the last checkpoint, if there is one."""
        path = self.workspace / LAST
        if self.world.agreed(path.is_file(), self.device):
            self._restore(self.world.fetched(path, self.device))
        while self.world.any(self._short_of_memory.exists(), self.device):
            self._halve_parts()
            self._checkpoint()  # which counts as getting on

    def _restore(self, path: Path) -> None:
        facts = checkpoints.load_checkpoint(
            path, network=self.network, average=self._averaged, optimizer=self.optimizer
        )
        identity = self._identity()
        if facts["identity"] != identity:
            raise StateConflict(
                f"the checkpoint is of another run: {facts['identity']}, not {identity}"
            )
        self.state = RunState(**facts["state"])
        if self.plan.precision == "fp16":
            self.scaler.load_state_dict(facts["scaler"])
        if self.state.stopped_early and not self.ended:
            self.state.stopped_early, self.state.waited = False, 0
        self._started_at_update = self.state.update
        self._log(f"goes on from epoch {self.state.epoch}, update {self.state.update}")

    def epoch(self) -> None:
        """The rest of the present epoch, its validation, and its checkpoint."""
        state, plan = self.state, self.plan
        order = self._order(state.epoch)
        self.network.train()
        freeze(self.network, self._held or (), never=self._fixed)  # train() lets batch norms go
        position = Position(seed=plan.seed, epoch=state.epoch, first=state.place)
        while state.place < self.length:  # again where the micro-batches have changed
            batches = loaded(
                self.training.data,
                order,
                position=position.at(state.place),
                division=Division(plan.batch, state.parts, self.world),
                loaders=plan.loaders,
            )
            with closing(batches):
                self._go_through(batches)
        self._end_epoch()

    def outcome(self) -> Outcome:
        """With the best weights in the network."""
        state = self.state
        self.world.agreed(None, self.device)  # the first process has written what is read now
        best = self.world.fetched(self.workspace / BEST, self.device)
        checkpoints.load_weights(best, self.training.network)
        self.training.network.eval()
        return Outcome(
            epochs=state.epoch,
            best_epoch=state.best_epoch or 0,
            stopped_early=state.stopped_early,
            updates=state.update,
            history=state.history,
        )

    def _order(self, epoch: int) -> IntArray:
        rng = np.random.default_rng([self.plan.seed, epoch])
        if self.training.order is not None:
            return self.training.order(rng)
        return rng.permutation(len(self.training.data))

    def _go_through(self, batches: Iterable[list[Micro]]) -> None:
        for batch in batches:
            self._ask()
            if not self._update(batch):
                return
            self._after_update()

    def _ask(self) -> None:
        stop: Cancelled | None = None
        try:
            self.progress.check_cancelled()
        except Cancelled as asked:
            stop = asked
        if self.world.any(stop is not None, self.device):
            self._checkpoint()
            raise stop or Cancelled("another process was asked to stop")

    def _update(self, batch: list[Micro]) -> bool:
        """One step of the optimizer; False when memory did not suffice and nothing has changed."""
        self._freeze()
        factor = self.training.schedule(self.state.update, self._updates)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.optimizer.zero_grad(set_to_none=True)
        try:
            loss, norm = self._gradients(batch)
        except torch.OutOfMemoryError:
            loss = None
        if loss is None:  # outside of the handler, whose traceback holds the tensors
            if self.world.size > 1:
                self._give_way()
            self._halve_parts()
            return False
        self._require_number(loss, norm)
        self._step()
        n_items = self._batch_items
        self.state.loss_sum += loss * n_items
        self.state.place += n_items
        self.state.update += 1
        return True

    def _step(self) -> None:
        try:
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.average is not None:
                self.average.follow(first=self.state.update == 0)
        except torch.OutOfMemoryError:
            fits = False
        else:
            fits = True
        if not fits:  # some weights may have moved and others not: only a checkpoint is whole
            self._give_way()

    def _freeze(self) -> None:
        now = {"epoch": self.state.epoch, "update": self.state.update}
        held = tuple(each for each in self.plan.freeze if each.lasts(**now))
        if held != self._held:
            said = freeze(self.network, held, never=self._fixed)
            self.model = self.world.wrapped(self.network, self.device)
            if self._held is not None or held:
                self._log(said)
            self._held = held

    def _gradients(self, batch: list[Micro]) -> tuple[float, float]:
        """Adds up the gradients of the batch's mean loss; returns it and the gradients' norm."""
        n_items = self._batch_items
        total = torch.zeros((), device=self.device)
        self.world.seed(self.plan.seed, self.state.update)
        for at, (size, inputs, target) in enumerate(batch):
            with self.world.apart(self.model, last=at == len(batch) - 1):
                with self._precision():
                    output = self.model(*(_moved(each, self.device) for each in inputs))
                    loss = self.training.loss(output, _moved(target, self.device))
                counted = loss.sum() * (size > 0) if loss.ndim else loss * size
                share = counted / n_items
                # the gradients of several processes are averaged, where their sum is wanted
                self.scaler.scale(share * self.world.size).backward()  # type: ignore[no-untyped-call]
            total += share.detach()
        norm = total = self.world.total(total)
        if self.plan.gradient_norm is not None:
            self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(self._parameters, self.plan.gradient_norm)
        return total.item(), norm.item()

    def _require_number(self, loss: float, norm: float) -> None:
        scaled = self.plan.precision == "fp16"  # whose scaler leaves out steps that overflow
        if math.isfinite(loss) and (scaled or math.isfinite(norm)):
            return
        what = "loss" if not math.isfinite(loss) else "gradient"
        raise UnusableInput(
            f"the {what} is {loss if what == 'loss' else norm} at update {self.state.update + 1} "
            f"(epoch {self.state.epoch + 1}); a lower learning rate, or gradient_norm, may help"
        )

    @property
    def _short_of_memory(self) -> Path:
        """A file that says: as many micro-batches as now are too few."""
        return self.workspace / f"short-of-memory-{self.state.parts}"

    def _give_way(self) -> NoReturn:
        """Ends this process, where others wait for its gradients or a step was half done.

        It leaves a note by which all of them, when they come back, take smaller micro-batches.
        """
        self._short_of_memory.touch()
        raise Interrupted("a device's memory did not suffice; the run goes on in smaller steps")

    def _halve_parts(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        most = -(-self.plan.batch // self.world.size)
        if self.state.parts >= most:
            raise UnusableInput("the device's memory does not suffice for a single item")
        self.state.parts = min(2 * self.state.parts, most)
        size = -(-self.plan.batch // self.state.parts)
        self._log(
            f"out of memory: a batch of {self.plan.batch} is now computed {size} items at a time; "
            "the effective batch stays"
        )

    def _after_update(self) -> None:
        self.progress.advance(self.state.update / self._updates, stage="training")
        if time.monotonic() >= self._next_checkpoint:
            self._checkpoint()

    def _end_epoch(self) -> None:
        state, plan = self.state, self.plan
        kept = self._averaged or self.network
        kept.eval()
        with torch.no_grad():
            found = self.training.validate(kept) if self.world.leads else {}
        metrics = self.world.agreed(
            {name: float(value) for name, value in found.items()}, self.device
        )
        loss = state.loss_sum / self.length
        monitored = loss if plan.monitor == "loss" else metrics[plan.monitor]
        state.epoch, state.place, state.loss_sum = state.epoch + 1, 0, 0.0
        entry = {"epoch": state.epoch, "loss": loss, "metrics": metrics}
        state.history.append(entry)
        if plan.better(monitored, state.best) or state.best_epoch is None:
            state.best, state.best_epoch, state.waited = monitored, state.epoch, 0
            if self.world.leads:
                checkpoints.save_weights(self.workspace / BEST, kept, entry)
            self._tell("checkpoint", {"kind": "best", "update": state.update, **entry})
        else:
            state.waited += 1
        if plan.patience is not None and state.waited >= plan.patience:
            state.stopped_early, state.asked_epochs = True, plan.epochs
            self._log(f"stops: no better {plan.monitor} for {state.waited} epochs")
        rate = self.optimizer.param_groups[-1]["lr"]
        eta = {"epochs": plan.epochs, "learning_rate": rate, "eta_s": self._eta_s()}
        self._tell("epoch", entry | eta)
        self._checkpoint()

    def _checkpoint(self) -> None:
        if not self.world.leads:
            return
        checkpoints.save_checkpoint(
            self.workspace / LAST,
            network=self.network,
            average=self._averaged,
            optimizer=self.optimizer,
            facts={
                "identity": self._identity(),
                "state": vars(self.state),
                "scaler": self.scaler.state_dict(),
            },
        )
        self._next_checkpoint = time.monotonic() + self.plan.checkpoint_every_s
        last = self.state.history[-1] if self.state.history else {}
        self._tell(
            "checkpoint",
            {
                "kind": "last",
                "epoch": self.state.epoch,
                "update": self.state.update,
                "metrics": last.get("metrics", {}),
            },
        )

    def _identity(self) -> dict[str, int]:
        return {"seed": self.plan.seed, "batch": self.plan.batch, "items": self.length}

    @property
    def _batch_items(self) -> int:
        """Items of the present batch, over all processes."""
        return min(self.plan.batch, self.length - self.state.place)

    @property
    def _updates(self) -> int:
        return self.plan.epochs * self.updates_an_epoch

    def _eta_s(self) -> float | None:
        """Seconds left at the pace so far; None where there was no update to tell it from."""
        if self.ended:
            return 0.0
        done = self.state.update - self._started_at_update
        if done == 0:
            return None
        pace = (time.monotonic() - self._started) / done
        return round(pace * (self._updates - self.state.update), 3)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.plan.precision == "off":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_PRECISIONS[self.plan.precision])

    def _log(self, message: str) -> None:
        self._tell("log", {"message": message})

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        if self.world.leads:
            self.progress.event(kind, data)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, tuple | list):
        return type(value)(_moved(each, device) for each in value)
    return value
