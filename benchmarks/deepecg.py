"""DeepECG's architecture written plainly against the network that answers requests, in turns.

python -m benchmarks.deepecg [--rounds 5] [--threads 1 2] [--batches 1 16]

Weights are drawn, which changes no time. Both sides run in one process, one after the other in
every round, so that a busy machine slows both; ratios are of the quickest rounds and of medians.
On a machine with CUDA the network as a worker runs it there (half precision where that is harmless,
small batches as recorded graphs) and the rate of matrix products are measured too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from services.models.deepecg.dense import pack_all
from services.models.deepecg.fused_network import FusedRiskNetwork
from services.models.deepecg.gpu_network import HALVES, GraphedNetwork, reduced, trial_windows
from services.models.deepecg.network import (
    EncoderLayer,
    NetworkConfig,
    RiskNetwork,
    SelfAttention,
)
from services.models.deepecg.spec import LEADS, WINDOW_SAMPLES

FLOP_PER_RECORD = 29.2e9
GPU_BATCHES = (1, 64, 256)

Sides = dict[str, Callable[[], Tensor]]


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(0)
    network = RiskNetwork(NetworkConfig()).eval()
    fused = FusedRiskNetwork(network)
    packed = pack_all(fused)
    print(f"torch {torch.__version__}, packed weights: {'yes' if packed else 'no'}")
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for batch in arguments.batches:
            x = torch.randn(batch, len(LEADS), WINDOW_SAMPLES)
            sides: Sides = {"plain": partial(plain_logits, network, x), "ours": partial(fused, x)}
            _report(f"cpu, {threads} thread(s), batch {batch}", sides, arguments.rounds, batch)
    if torch.cuda.is_available():
        _gpu(network, arguments.rounds)


def plain_logits(network: RiskNetwork, signal: Tensor) -> Tensor:
    """The original's forward pass: time-major, q, k and v apart, scores and softmax written out,
    the weight norm worked out each time."""
    backbone = network.encoder
    features = backbone.feature_extractor(signal).transpose(1, 2)
    x = backbone.post_extract_proj(backbone.layer_norm(features))
    x = backbone.encoder.layer_norm(x + backbone.conv_pos(x))
    x = x.transpose(0, 1)  # (tokens, n, width)
    for layer in cast(list[EncoderLayer], list(backbone.encoder.layers)):
        x = layer.self_attn_layer_norm(x + _plain_attention(layer.self_attn, x))
        x = layer.final_layer_norm(x + layer.fc2(F.gelu(layer.fc1(x))))
    x = x.transpose(0, 1)
    logits: Tensor = network.proj(x.sum(dim=1) / (x != 0).sum(dim=1))
    return logits


def _plain_attention(attention: SelfAttention, x: Tensor) -> Tensor:
    tokens, n, width = x.shape
    size = width // attention.heads
    q, k, v = (
        projected(x).contiguous().view(tokens, n * attention.heads, size).transpose(0, 1)
        for projected in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    weights = torch.softmax(torch.bmm(q * size**-0.5, k.transpose(1, 2)), dim=-1)
    mixed = torch.bmm(weights, v).transpose(0, 1).contiguous().view(tokens, n, width)
    out: Tensor = attention.out_proj(mixed)
    return out


def _report(title: str, sides: Sides, rounds: int, batch: int, wait: bool = False) -> None:
    with torch.inference_mode():
        logits = {name: run().float().cpu() for name, run in sides.items()}  # warms up as well
        times = _alternating(sides, rounds, wait=wait)
    moved = (logits["plain"] - logits["ours"]).abs().max().item()
    print(f"\n{title}; logits differ by at most {moved:.1e}")
    for name, taken in times.items():
        best, usual = min(taken) / batch, statistics.median(taken) / batch
        print(f"  {name:<6} best {1e3 * best:9.3f} ms a record, median {1e3 * usual:9.3f} ms")
    best = min(times["plain"]) / min(times["ours"])
    usual = statistics.median(times["plain"]) / statistics.median(times["ours"])
    print(f"  ratio  best {best:.2f}, median {usual:.2f}")


def _alternating(sides: Sides, rounds: int, *, wait: bool) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if wait:
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return times


def _gpu(network: RiskNetwork, rounds: int) -> None:
    rates = {dtype: _matmul_rate(dtype, rounds) for dtype in HALVES}
    print(f"\n{torch.cuda.get_device_name()}")
    for dtype, rate in rates.items():
        print(f"  {dtype} products at {rate / 1e12:.0f} TFLOP/s")
    network = network.cuda()
    served, chosen = reduced(FusedRiskNetwork(network), torch.from_numpy(trial_windows()).cuda())
    ours = GraphedNetwork(served, samples=WINDOW_SAMPLES)
    for batch in GPU_BATCHES:
        x = torch.randn(batch, len(LEADS), WINDOW_SAMPLES, device="cuda")
        sides: Sides = {"plain": partial(plain_logits, network, x), "ours": partial(ours, x)}
        _report(f"cuda, ours in {chosen}, batch {batch}", sides, rounds, batch, wait=True)
        with torch.inference_mode():
            best = min(_alternating({"ours": sides["ours"]}, rounds, wait=True)["ours"])
        share = FLOP_PER_RECORD * batch / best / rates[torch.bfloat16]
        print(f"  ours   {batch / best:,.0f} records/s, {share:.0%} of the bfloat16 products' rate")


def _matmul_rate(dtype: torch.dtype, rounds: int) -> float:
    """FLOP a second of a large product."""
    a = torch.randn(8192, 8192, device="cuda", dtype=dtype)
    taken = _alternating({"product": lambda: a @ a}, rounds + 3, wait=True)["product"]
    return 2 * 8192**3 / min(taken)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    return parser.parse_args()


if __name__ == "__main__":
    main()
