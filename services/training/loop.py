"""How a network is fitted: steps over batches, a learning rate that rises and falls, an average."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from services.training.progress import Progress

Batch = tuple[tuple[Tensor, ...], Tensor]
_TOLD_EVERY = 25  # steps


@dataclass(frozen=True)
class FitPlan:
    """Numbers of a run.

    steps: optimiser steps. learning_rate: highest. rising_share: of the steps, until it is reached.
    weight_decay: AdamW's. average_decay: of the moving average of weights that is the result.
    gradient_norm: gradients are scaled down to at most this norm.
    """

    steps: int = 300
    learning_rate: float = 3e-3
    rising_share: float = 0.15
    weight_decay: float = 0.02
    average_decay: float = 0.99
    gradient_norm: float = 1.0


def fitted(
    network: nn.Module,
    batches: Iterable[Batch],
    *,
    loss: nn.Module,
    plan: FitPlan,
    progress: Progress,
) -> nn.Module:
    """The moving average of the network's weights over the run, in evaluation mode.

    batches: as many as `plan.steps`, each the network's inputs and the loss's target. Asks to be
    cancelled at every step.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.learning_rate, total_steps=plan.steps, pct_start=plan.rising_share
    )
    average = AveragedModel(
        network,
        multi_avg_fn=get_ema_multi_avg_fn(plan.average_decay),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    network.train()
    for step, (inputs, target) in enumerate(batches):
        progress.check_cancelled()
        value = loss(network(*inputs), target)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), plan.gradient_norm)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        if step % _TOLD_EVERY == 0:
            progress.advance(step / plan.steps, stage="fitting")
    module: nn.Module = average.module
    return module.eval()
