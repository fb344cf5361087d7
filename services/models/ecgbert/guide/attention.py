"""Attention within windows of packed sentences, and dropout: our kernels on the CPU, else torch's.

torch's own threads meet after each of the hundreds of small operations of a step, and where other
work shares the processors they wait for one another. So its operations are meant to run on one
thread (`services.training.seeds.one_thread`), and the heads of an attention on as many as are free.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.ecg.record import IntArray
from services.models.ecgbert.spec import HEADS

log = logging.getLogger(__name__)

_SEEDS = 2**31
THREADS = min(HEADS, os.cpu_count() or 1)
# scores of all heads; below this, handing work around costs more than it saves
_WORTH_THREADS = 1_000_000


def window_bounds(lengths: IntArray, window: int, *, shifted: bool = False) -> IntArray:
    """First token of each window and the end of the last, (n_windows + 1,) int64.

    lengths: (n_chunks,) tokens of the chunks that lie packed one behind the other; no window spans
    two. shifted: the first window of each chunk has half the length, so that what one layer parts
    the next one joins.
    """
    first = window // 2 if shifted and window < int(lengths.max(initial=0)) else window
    ends = np.cumsum(lengths)
    starts = ends - lengths
    parts = [
        np.concatenate([[start], np.arange(start + first, end, window)])
        for start, end in zip(starts, ends, strict=True)
        if end > start
    ]
    return np.concatenate([*parts, ends[-1:]]).astype(np.int64)


def attended(qkv: Tensor, bounds: IntArray, *, dropout: float) -> Tensor:
    """Each token attends to those of its window. (96, n_tokens) -> (32, n_tokens) float32.

    qkv: rows of q, then k, then v, each head's four together. dropout: share of the weights that
    is left out, as torch's own attention does in training.
    """
    if qkv.device.type == "cpu" and kernel() is not None:
        seed = int(torch.randint(_SEEDS, ())) if dropout > 0 else 0
        out: Tensor = _KernelAttention.apply(qkv, bounds, dropout, seed)  # type: ignore[no-untyped-call]
        return out
    return torch_attended(qkv, bounds, dropout=dropout)


def torch_attended(qkv: Tensor, bounds: IntArray, *, dropout: float) -> Tensor:
    """The same by torch's own kernel, windows padded to the longest and masked."""
    longest, n_windows = int(np.diff(bounds).max()), len(bounds) - 1
    place = bounds[:-1, None] + np.arange(longest)
    inside = place < bounds[1:, None]
    at = torch.from_numpy(np.minimum(place, bounds[-1] - 1)).to(qkv.device)
    split = qkv[:, at].view(3, HEADS, -1, n_windows, longest)
    # (n_windows, heads, longest, width of a head), as the fused kernels of a GPU want them to lie
    q, k, v = split.permute(0, 3, 1, 4, 2).contiguous()
    mask = None
    if not inside.all():
        mask = torch.from_numpy(inside).to(qkv.device)[:, None, None]
    found = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout
    )
    packed = found.permute(1, 3, 0, 2).flatten(0, 1)  # (32, n_windows, longest)
    if mask is None:
        return packed.flatten(1)
    return packed.flatten(1)[:, torch.from_numpy(np.flatnonzero(inside)).to(qkv.device)]


@cache
def kernel() -> Any:
    """The compiled kernel's module; None where Numba is not installed or may keep nothing."""
    try:
        return importlib.import_module("services.models.ecgbert.guide.attention_kernel")
    except (ImportError, RuntimeError) as error:  # RuntimeError: no folder for its cache
        log.warning("attention without its compiled kernel, many times slower on a CPU: %s", error)
        return None


def dropped(values: Tensor, dropout: float) -> Tensor:
    """Dropout of any shape, float32; torch's own draws twenty times as long on a CPU."""
    if dropout <= 0:
        return values
    if values.device.type != "cpu" or values.dtype != torch.float32 or kernel() is None:
        return torch.nn.functional.dropout(values, dropout)
    seed = int(torch.randint(_SEEDS, ()))
    out: Tensor = _KernelDropout.apply(values, dropout, seed)  # type: ignore[no-untyped-call]
    return out


class _KernelAttention(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, qkv: Tensor, bounds: IntArray, dropout: float, seed: int) -> Tensor:
        values = qkv.detach().float().contiguous()
        width = values.shape[0] // 3
        out = torch.empty((width, values.shape[1]))
        norm = torch.empty((HEADS, values.shape[1]))
        draw = kernel().drawn(seed, dropout)
        arrays = (values.numpy(), out.numpy(), norm.numpy(), bounds)
        _for_each_head(lambda head: kernel().forward_head(*arrays, head, draw), bounds)
        context.save_for_backward(values, out, norm)
        context.bounds, context.draw = bounds, draw
        return out

    @staticmethod
    def backward(context: Any, *upper: Tensor) -> tuple[Tensor, None, None, None]:
        values, out, norm = context.saved_tensors
        bounds, draw = context.bounds, context.draw
        lower = torch.empty_like(values)
        saved = (out.numpy(), norm.numpy())
        gradients = (upper[0].contiguous().numpy(), lower.numpy())
        arrays = (values.numpy(), saved, gradients, bounds)
        _for_each_head(lambda head: kernel().backward_head(*arrays, head, draw), bounds)
        return lower, None, None, None


class _KernelDropout(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, dropout: float, seed: int) -> Tensor:
        context.draw = kernel().drawn(seed, dropout)
        return _KernelDropout._drawn(context, values)

    @staticmethod
    def backward(context: Any, *upper: Tensor) -> tuple[Tensor, None, None]:
        return _KernelDropout._drawn(context, upper[0]), None, None

    @staticmethod
    def _drawn(context: Any, values: Tensor) -> Tensor:
        flat = values.detach().contiguous()
        out = torch.empty_like(flat)
        kernel().dropped(flat.view(-1).numpy(), out.view(-1).numpy(), context.draw)
        return out


def _for_each_head(work: Callable[[int], None], bounds: IntArray) -> None:
    """Heads side by side where it is worth it. Each writes rows of its own; no lock is held.

    The caller works too, and waits for nobody who has not begun: to wake a thread can take as long
    as a head of short windows, and where many ask, others' heads come first.
    """
    heads = list(range(HEADS))

    def take() -> None:
        while heads:
            try:
                head = heads.pop()
            except IndexError:  # another thread was faster
                return
            work(head)

    n_scores = HEADS * int((np.diff(bounds) ** 2).sum())
    helpers = THREADS - 1 if n_scores >= _WORTH_THREADS else 0
    asked = [_pool().submit(take) for _ in range(helpers)]
    take()
    for helper in asked:
        if not helper.cancel():
            helper.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="attention")
