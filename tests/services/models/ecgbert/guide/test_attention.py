"""The attention kernel against attention written out in float64, gradients and dropout included."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from services.models.ecgbert.guide import attention
from services.models.ecgbert.guide.attention import (
    attended,
    dropped,
    torch_attended,
    window_bounds,
)
from services.models.ecgbert.spec import HEADS, WIDTH

kernel = attention.kernel()
needs_kernel = pytest.mark.skipif(kernel is None, reason="Numba is not installed")


def plain(qkv: Tensor, bounds: np.ndarray, kept: Tensor | None = None, gain: float = 1) -> Tensor:
    """Every score written out. kept: (heads, longest, longest) of 0 and 1."""
    q, k, v = qkv.view(3, HEADS, -1, qkv.shape[1])
    parts = []
    for start, end in pairwise(bounds):
        inside = slice(start, end)
        scores = torch.einsum("hdi,hdj->hij", q[..., inside], k[..., inside])
        weights = (scores * q.shape[1] ** -0.5).softmax(-1)
        if kept is not None:
            weights = weights * kept[:, : end - start, : end - start] * gain
        found = torch.einsum("hij,hdj->hdi", weights, v[..., inside])
        parts.append(found.reshape(WIDTH, -1))
    return torch.cat(parts, dim=1)


def drawn_inputs(n_tokens: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    qkv = scale * torch.randn((3 * WIDTH, n_tokens), generator=generator)
    return qkv.requires_grad_(), torch.randn((WIDTH, n_tokens), generator=generator)


def both(
    found: Tensor,
    qkv: Tensor,
    upper: Tensor,
    expected: Tensor,
    precise: Tensor,
    *,
    rounding: float = 1.0,
) -> None:
    found.backward(upper)
    expected.backward(upper.double())
    scale = precise.grad.abs().max().item()
    assert (found - expected).abs().max().item() < rounding * 3e-6 * expected.abs().max().item()
    assert (qkv.grad - precise.grad).abs().max().item() < rounding * 1e-5 * scale


@pytest.mark.parametrize("of", [attended, torch_attended])
@pytest.mark.parametrize(("lengths", "window"), [([37, 64, 1], 3600), ([101], 16), ([5, 90], 32)])
@pytest.mark.parametrize("shifted", [False, True])
def test_output_and_gradient_equal_attention_written_out(
    of: object, lengths: list[int], window: int, shifted: bool
) -> None:
    qkv, upper = drawn_inputs(sum(lengths))
    bounds = window_bounds(np.array(lengths), window, shifted=shifted)
    precise = qkv.detach().double().requires_grad_()
    found = of(qkv, bounds, dropout=0.0)  # type: ignore[operator]
    both(found, qkv, upper, plain(precise, bounds), precise)


@needs_kernel
def test_scores_far_apart_are_exact_too() -> None:
    qkv, upper = drawn_inputs(50, scale=12.0)  # scores of up to 1,000: beyond the simple bound
    bounds = np.array([0, 50])
    precise = qkv.detach().double().requires_grad_()
    found = attended(qkv, bounds, dropout=0.0)
    # a score of 1,000 in single precision is known to 6e-5, whoever computes it
    both(found, qkv, upper, plain(precise, bounds), precise, rounding=30)


@needs_kernel
@pytest.mark.parametrize("n_tokens", [64, 65])
def test_with_dropout_output_and_gradient_are_those_of_the_drawn_weights(n_tokens: int) -> None:
    qkv, upper = drawn_inputs(n_tokens)
    bounds = np.array([0, n_tokens])
    seed, threshold, gain = kernel.drawn(12345, 0.1)
    heads = [kernel.kept_weights(n_tokens, head, seed, threshold) for head in range(HEADS)]
    kept = torch.from_numpy(np.stack(heads)).double()
    precise = qkv.detach().double().requires_grad_()
    found = attention._KernelAttention.apply(qkv, bounds, 0.1, 12345)
    both(found, qkv, upper, plain(precise, bounds, kept, float(gain)), precise)


@needs_kernel
def test_what_is_dropped_is_a_tenth_and_looks_independent() -> None:
    n = 600
    seed, threshold, gain = kernel.drawn(7, 0.1)
    kept = np.stack([kernel.kept_weights(n, head, seed, threshold) for head in range(2)])
    assert gain == pytest.approx(1 / 0.9, rel=1e-4)
    assert kept.mean() == pytest.approx(0.9, abs=0.002)
    spread = (0.09 / n) ** 0.5  # of the mean of a row, if draws are independent
    assert kept.mean(axis=1).std() == pytest.approx(spread, rel=0.1)
    assert kept.mean(axis=2).std() == pytest.approx(spread, rel=0.1)
    dropped_ = kept - kept.mean()
    for other in (np.roll(dropped_, 1, 1), np.roll(dropped_, 1, 2), dropped_[::-1]):
        assert abs((dropped_ * other).mean() / dropped_.var()) < 0.01


@needs_kernel
def test_the_seed_decides_and_torch_draws_it() -> None:
    qkv, _ = drawn_inputs(40)
    bounds = np.array([0, 40])
    torch.manual_seed(1)
    first, second = (attended(qkv, bounds, dropout=0.1) for _ in range(2))
    torch.manual_seed(1)
    again = attended(qkv, bounds, dropout=0.1)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@needs_kernel
def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    qkv, _ = drawn_inputs(200)
    bounds = np.array([0, 200])
    alone = attended(qkv, bounds, dropout=0.0)
    monkeypatch.setattr(attention, "_WORTH_THREADS", 0)
    monkeypatch.setattr(attention, "THREADS", 3)
    assert torch.equal(attended(qkv, bounds, dropout=0.0), alone)


def test_without_numba_torch_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    qkv, _ = drawn_inputs(30)
    bounds = window_bounds(np.array([20, 10]), 16)
    expected = attended(qkv, bounds, dropout=0.0)
    monkeypatch.setattr(attention, "kernel", lambda: None)
    found = attended(qkv, bounds, dropout=0.0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert attended(qkv, bounds, dropout=0.5).shape == expected.shape
    assert dropped(qkv, 0.5).shape == qkv.shape


def test_the_slow_way_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent(name: str) -> None:
        raise ImportError("No module named 'numba'")

    monkeypatch.setattr(attention.importlib, "import_module", absent)
    looked = cache(attention.kernel.__wrapped__)
    assert (looked(), looked()) == (None, None)
    assert [line.levelname for line in caplog.records] == ["WARNING"]
    assert "No module named 'numba'" in caplog.text


@needs_kernel
def test_dropout_keeps_nine_of_ten_and_its_gradient_drops_the_same() -> None:
    values = torch.ones(400, 100, requires_grad=True)
    found = dropped(values, 0.1)
    found.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, found.detach())
    assert (found > 0).float().mean().item() == pytest.approx(0.9, abs=0.01)
    assert found.max().item() == pytest.approx(1 / 0.9, rel=1e-4)
    assert dropped(values, 0.0) is values


def test_windows_never_span_two_chunks_and_shifted_ones_join_what_the_others_part() -> None:
    lengths = np.array([20, 7])
    assert window_bounds(lengths, 8).tolist() == [0, 8, 16, 20, 27]
    assert window_bounds(lengths, 8, shifted=True).tolist() == [0, 4, 12, 20, 24, 27]
    assert window_bounds(lengths, 3600, shifted=True).tolist() == [0, 20, 27]
