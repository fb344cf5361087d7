"""Attention of narrow heads on the CPU, dropout included, without ever holding the score matrix.

With a head width of 4 a library's kernel, made for 64, multiplies padding; and its route with
dropout writes every score to memory, several times over. Here a score lives in a register: it is
computed, exponentiated, kept or dropped and summed, sixteen at a time where the processor can, and
computed again on the way back. Two queries go through together, each step of one beside that of the
other: the compiler keeps this order, and a processor that can look ahead only so far need not wait
for a long chain. Which scores are dropped is a function of seed, head, query and key, so nothing of
it is kept either. The loops over keys are the whole cost of a training step.

Compiled by Numba at the first call, and kept on disk for the next process.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

HEAD_WIDTH = 4
LEVELS = 1 << 16  # a dropout draw is one of so many

f32, u32 = np.float32, np.uint32
# sums may be reordered and fused; infinities and NaN stay what they are
_FAST = {"reassoc", "contract", "nsz", "arcp", "afn"}
_SCALE = f32(HEAD_WIDTH**-0.5)
_LOG2_E = f32(math.log2(math.e))
_TO_LOG2 = f32(_SCALE * _LOG2_E)  # scores are kept as powers of 2
# where the bound of a row's scores is below this, the bound is subtracted instead of the largest
# score: 2 ** -(2 * 60) is still a float32 of full precision
_SAFE_BOUND = f32(60.0)
_NOTHING = (f32(0), f32(0))
_I32, _F32 = ir.IntType(32), ir.FloatType()


def _use_whole_registers() -> None:
    """LLVM takes half of an AVX-512 register, lest the clock of old processors falls; loops as
    dense as these want the whole. To be asked for before anything is compiled.
    """
    features = binding.get_host_cpu_features()
    if features.get("avx512f") and config.ENABLE_AVX and config.CPU_FEATURES is None:
        config.CPU_FEATURES = features.flatten() + ",-prefer-256-bit"


_use_whole_registers()


@intrinsic
def _toward_zero(_context: Any, _value: Any) -> Any:
    def code(_: Any, build: Any, __: Any, arguments: Any) -> Any:
        return build.sitofp(build.fptosi(arguments[0], _I32), _F32)

    return types.float32(types.float32), code


@intrinsic
def _times_power_of_two(_context: Any, _value: Any, _exponent: Any) -> Any:
    """value * 2 ** (exponent rounded toward zero), by adding to the bits of value's exponent."""

    def code(_: Any, build: Any, __: Any, arguments: Any) -> Any:
        value, exponent = arguments
        whole = build.fptosi(exponent, _I32)
        bits = build.add(build.bitcast(value, _I32), build.shl(whole, _I32(23)))
        return build.bitcast(bits, _F32)

    return types.float32(types.float32, types.float32), code


@intrinsic
def _mixed(_context: Any, _row: Any, _number: Any) -> Any:
    """32 bits that depend on every bit of both. Numba itself would go through 64 bits.

    A multiply-xorshift finaliser (constants of "lowbias32", C. Wellons, public domain).
    """

    def code(_: Any, build: Any, __: Any, arguments: Any) -> Any:
        step = build.mul(build.trunc(arguments[1], _I32), _I32(0x85EBCA6B))
        x = build.add(arguments[0], step)
        x = build.mul(build.xor(x, build.lshr(x, _I32(16))), _I32(0x7FEB352D))
        x = build.mul(build.xor(x, build.lshr(x, _I32(15))), _I32(0x846CA68B))
        return build.xor(x, build.lshr(x, _I32(16)))

    return types.uint32(types.uint32, types.int64), code


def _kept_by(shift: int) -> Any:
    """The value where 16 of the bits, from `shift` on, reach the threshold, else 0."""

    @intrinsic
    def kept(_context: Any, _value: Any, _bits: Any, _threshold: Any) -> Any:
        def code(_: Any, build: Any, __: Any, arguments: Any) -> Any:
            value, bits, threshold = arguments
            draw = build.and_(build.lshr(bits, _I32(shift)), _I32(LEVELS - 1))
            # below 2 ** 16 a sign changes nothing, and AVX2 compares numbers with one alone
            return build.select(build.icmp_signed(">=", draw, threshold), value, _F32(0.0))

        return types.float32(types.float32, types.uint32, types.uint32), code

    return kept


_kept_by_first, _kept_by_second = _kept_by(0), _kept_by(16)


@njit(inline="always")
def _exp2_of_two(x: Any, y: Any) -> Any:
    """2 ** x and 2 ** y for numbers up to 0, relative error 2e-7; 2 ** -125 for all that is below.

    Rounding may have left them a little above 0. Between whole numbers the polynomial is the one
    whose largest relative error is least.
    """
    x = x if x > f32(-125.0) else f32(-125.0)
    y = y if y > f32(-125.0) else f32(-125.0)
    part, other = x - _toward_zero(x), y - _toward_zero(y)
    p, r = f32(0.0009449037024751306), f32(0.0009449037024751306)
    p, r = p * part + f32(0.009205798618495464), r * other + f32(0.009205798618495464)
    p, r = p * part + f32(0.0552973598241806), r * other + f32(0.0552973598241806)
    p, r = p * part + f32(0.2401801496744156), r * other + f32(0.2401801496744156)
    p, r = p * part + f32(0.6931437253952026), r * other + f32(0.6931437253952026)
    p, r = p * part + f32(1.0), r * other + f32(1.0)
    return _times_power_of_two(p, x), _times_power_of_two(r, y)


@njit(inline="always")
def _products_of_two(a: Any, b: Any, rows: Any, j: Any, less: Any) -> Any:
    """What two queries' numbers give with those of a key, each lessened by its own of `less`."""
    x, y = a[0] * rows[0][j] - less[0], b[0] * rows[0][j] - less[1]
    x, y = x + a[1] * rows[1][j], y + b[1] * rows[1][j]
    x, y = x + a[2] * rows[2][j], y + b[2] * rows[2][j]
    return x + a[3] * rows[3][j], y + b[3] * rows[3][j]


@njit(inline="always")
def _rows(array: Any, first: Any, start: Any, end: Any) -> Any:
    """Four rows as arrays of their own: of a two-dimensional cut the compiler knows no stride."""
    return (
        array[first, start:end],
        array[first + 1, start:end],
        array[first + 2, start:end],
        array[first + 3, start:end],
    )


@njit(inline="always")
def _row_key(seed: Any, head: Any, query: Any) -> Any:
    return _mixed(_mixed(seed, np.int64(head)), np.int64(query))


@njit(inline="always")
def _query(q: Any, i: Any) -> Any:
    """A query's four numbers, for scores that are powers of 2."""
    return q[0, i] * _TO_LOG2, q[1, i] * _TO_LOG2, q[2, i] * _TO_LOG2, q[3, i] * _TO_LOG2


@njit(fastmath=_FAST, nogil=True, error_model="numpy", cache=True)
def _shift(q: Any, k: Any, longest: Any) -> Any:
    """What a row's scores are lessened by: at least the largest, and near it or small.

    longest: the length of the longest key.
    """
    length = f32(math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]))
    bound = length * longest
    if bound < _SAFE_BOUND:
        return bound
    most = f32(-np.inf)
    for j in range(len(k[0])):
        score = q[0] * k[0][j] + q[1] * k[1][j] + q[2] * k[2][j] + q[3] * k[3][j]
        most = max(most, score)
    return most


@njit(fastmath=_FAST, nogil=True, error_model="numpy", cache=True)
def forward_head(qkv: Any, out: Any, norm: Any, bounds: Any, head: Any, draw: Any) -> None:
    """One head's attention within each window.

    qkv: (3 * 4 * n_heads, n_tokens) float32. out: (4 * n_heads, n_tokens), filled for this head.
    norm: (n_heads, n_tokens), filled: log2 of a row's softmax denominator.
    bounds: (n_windows + 1,) first token of each window. draw: seed, threshold out of LEVELS below
    which a weight is dropped, and what the kept ones are multiplied by.
    """
    seed, threshold, gain = draw
    drops = threshold > u32(0)
    width = out.shape[0]
    at = HEAD_WIDTH * head
    for window in range(len(bounds) - 1):
        start, end = bounds[window], bounds[window + 1]
        q = qkv[at : at + HEAD_WIDTH]
        k = _rows(qkv, width + at, start, end)
        k0, k1, k2, k3 = k
        v0, v1, v2, v3 = _rows(qkv, 2 * width + at, start, end)
        n = end - start
        longest = f32(0)
        for j in range(n):
            longest = max(longest, k0[j] * k0[j] + k1[j] * k1[j] + k2[j] * k2[j] + k3[j] * k3[j])
        longest = f32(math.sqrt(longest))
        for i in range(start, end, 2):
            other = min(i + 1, end - 1)
            a, b = _query(q, i), _query(q, other)
            most = (_shift(a, k, longest), _shift(b, k, longest))
            row = _row_key(seed, head, i)
            sum_a, sum_b = f32(0), f32(0)
            x0, x1, x2, x3 = f32(0), f32(0), f32(0), f32(0)
            y0, y1, y2, y3 = f32(0), f32(0), f32(0), f32(0)
            for j in range(n):
                score_a, score_b = _products_of_two(a, b, k, j, most)
                p, r = _exp2_of_two(score_a, score_b)
                sum_a, sum_b = sum_a + p, sum_b + r
                if drops:
                    bits = _mixed(row, j)
                    p = _kept_by_first(p, bits, threshold)
                    r = _kept_by_second(r, bits, threshold)
                x0, y0 = x0 + p * v0[j], y0 + r * v0[j]
                x1, y1 = x1 + p * v1[j], y1 + r * v1[j]
                x2, y2 = x2 + p * v2[j], y2 + r * v2[j]
                x3, y3 = x3 + p * v3[j], y3 + r * v3[j]
            by_b = gain / sum_b
            out[at, other], out[at + 1, other] = y0 * by_b, y1 * by_b
            out[at + 2, other], out[at + 3, other] = y2 * by_b, y3 * by_b
            norm[head, other] = most[1] + f32(math.log2(sum_b))
            by_a = gain / sum_a  # last, so that a row alone at the end is written by its own draw
            out[at, i], out[at + 1, i] = x0 * by_a, x1 * by_a
            out[at + 2, i], out[at + 3, i] = x2 * by_a, x3 * by_a
            norm[head, i] = most[0] + f32(math.log2(sum_a))


@njit(fastmath=_FAST, nogil=True, error_model="numpy", cache=True)
def backward_head(  # noqa: PLR0915 - registers, spelled out so that they are registers
    qkv: Any, saved: Any, gradients: Any, bounds: Any, head: Any, draw: Any
) -> None:
    """The gradient of `forward_head` with the same draw.

    saved: (out, norm) as it left them. gradients: of the output, (4 * n_heads, n_tokens), and of
    qkv, (3 * 4 * n_heads, n_tokens), filled for this head.
    """
    seed, threshold, gain = draw
    out, norm = saved
    upper, lower = gradients
    width = out.shape[0]
    at = HEAD_WIDTH * head
    for window in range(len(bounds) - 1):
        start, end = bounds[window], bounds[window + 1]
        q, o = qkv[at : at + HEAD_WIDTH], out[at : at + HEAD_WIDTH]
        g = upper[at : at + HEAD_WIDTH]
        k, v = _rows(qkv, width + at, start, end), _rows(qkv, 2 * width + at, start, end)
        k0, k1, k2, k3 = k
        n = end - start
        # arrays of their own, so that the compiler knows that nothing else changes them
        dk0, dk1, dk2, dk3 = np.zeros(n, f32), np.zeros(n, f32), np.zeros(n, f32), np.zeros(n, f32)
        dv0, dv1, dv2, dv3 = np.zeros(n, f32), np.zeros(n, f32), np.zeros(n, f32), np.zeros(n, f32)
        for i in range(start, end, 2):
            other = min(i + 1, end - 1)
            there = f32(1.0) if other > i else f32(0.0)  # a row alone at the end counts once
            a, b = _query(q, i), _query(q, other)
            a0, a1, a2, a3 = a
            b0, b1, b2, b3 = b
            x0, x1, x2, x3 = g[0, i], g[1, i], g[2, i], g[3, i]
            y0, y1, y2, y3 = g[0, other], g[1, other], g[2, other], g[3, other]
            mean_a = x0 * o[0, i] + x1 * o[1, i] + x2 * o[2, i] + x3 * o[3, i]
            mean_b = y0 * o[0, other] + y1 * o[1, other] + y2 * o[2, other] + y3 * o[3, other]
            mean_b *= there
            x0, x1, x2, x3 = x0 * gain, x1 * gain, x2 * gain, x3 * gain
            gain_b = gain * there
            y0, y1, y2, y3 = y0 * gain_b, y1 * gain_b, y2 * gain_b, y3 * gain_b
            norms = (norm[head, i], norm[head, other])
            row = _row_key(seed, head, i)
            s0, s1, s2, s3 = f32(0), f32(0), f32(0), f32(0)
            t0, t1, t2, t3 = f32(0), f32(0), f32(0), f32(0)
            x, y = (x0, x1, x2, x3), (y0, y1, y2, y3)
            for j in range(n):
                bits = _mixed(row, j)
                score_a, score_b = _products_of_two(a, b, k, j, norms)
                p, r = _exp2_of_two(score_a, score_b)
                da, db = _products_of_two(x, y, v, j, _NOTHING)
                da = p * (_kept_by_first(da, bits, threshold) - mean_a)
                db = r * (_kept_by_second(db, bits, threshold) - mean_b)
                p = _kept_by_first(p, bits, threshold)
                r = _kept_by_second(r, bits, threshold)
                dv0[j] += p * x0 + r * y0
                dv1[j] += p * x1 + r * y1
                dv2[j] += p * x2 + r * y2
                dv3[j] += p * x3 + r * y3
                dk0[j] += da * a0 + db * b0
                dk1[j] += da * a1 + db * b1
                dk2[j] += da * a2 + db * b2
                dk3[j] += da * a3 + db * b3
                s0, t0 = s0 + da * k0[j], t0 + db * k0[j]
                s1, t1 = s1 + da * k1[j], t1 + db * k1[j]
                s2, t2 = s2 + da * k2[j], t2 + db * k2[j]
                s3, t3 = s3 + da * k3[j], t3 + db * k3[j]
            lower[at, other], lower[at + 1, other] = t0 * _SCALE, t1 * _SCALE
            lower[at + 2, other], lower[at + 3, other] = t2 * _SCALE, t3 * _SCALE
            lower[at, i], lower[at + 1, i] = s0 * _SCALE, s1 * _SCALE
            lower[at + 2, i], lower[at + 3, i] = s2 * _SCALE, s3 * _SCALE
        for j in range(n):  # dk was summed with queries in powers of 2
            lower[width + at, start + j] = dk0[j] / _LOG2_E
            lower[width + at + 1, start + j] = dk1[j] / _LOG2_E
            lower[width + at + 2, start + j] = dk2[j] / _LOG2_E
            lower[width + at + 3, start + j] = dk3[j] / _LOG2_E
            lower[2 * width + at, start + j] = dv0[j]
            lower[2 * width + at + 1, start + j] = dv1[j]
            lower[2 * width + at + 2, start + j] = dv2[j]
            lower[2 * width + at + 3, start + j] = dv3[j]


@njit(fastmath=_FAST, nogil=True, error_model="numpy", cache=True)
def dropped(values: Any, out: Any, draw: Any) -> None:
    """Dropout of a flat array, (n,) float32 into (n,); its own gradient with the same draw."""
    seed, threshold, gain = draw
    key = _mixed(seed, np.int64(-1))  # no head's
    for i in range(len(values)):
        out[i] = _kept_by_first(values[i] * gain, _mixed(key, i), threshold)


@njit(cache=True)
def kept_weights(n_tokens: Any, head: Any, seed: Any, threshold: Any) -> Any:
    """(n_tokens, n_tokens) of 0 and 1: what a window that begins at token 0 keeps; for tests."""
    kept = np.empty((n_tokens, n_tokens), np.float32)
    for i in range(0, n_tokens, 2):
        row = _row_key(seed, head, i)
        for j in range(n_tokens):
            bits = _mixed(row, j)
            kept[i, j] = _kept_by_first(f32(1), bits, threshold)
            if i + 1 < n_tokens:
                kept[i + 1, j] = _kept_by_second(f32(1), bits, threshold)
    return kept


def drawn(seed: int, dropout: float) -> tuple[np.uint32, np.uint32, np.float32]:
    """The `draw` of a seed and a share to drop, which is rounded to a 65,536th."""
    threshold = round(dropout * LEVELS)
    return u32(seed & 0xFFFFFFFF), u32(threshold), f32(LEVELS / (LEVELS - threshold))


KernelArray = NDArray[np.float32]
