"""Half precision is offered where it is harmless; the rest needs a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from services.models.deepecg.fused_network import FusedRiskNetwork
from services.models.deepecg.gpu_network import MOST_MOVED, GraphedNetwork, reduced, trial_windows
from services.models.deepecg.inference import WindowLogits
from services.models.deepecg.network import NetworkConfig, RiskNetwork
from tests.services.models.deepecg.small import small_network

TRIAL = torch.from_numpy(trial_windows())


def test_trial_windows_are_always_the_same_and_of_many_sizes() -> None:
    assert np.array_equal(trial_windows(), trial_windows())
    span = np.ptp(trial_windows(), axis=2).max(axis=1)
    assert (span.min() < 1.5) & (span.max() > 5.0)


def test_half_precision_is_taken_where_it_moves_no_logit() -> None:
    network = FusedRiskNetwork(small_network())
    chosen, dtype = reduced(network, TRIAL)
    assert dtype is torch.float16
    with torch.inference_mode():
        assert (chosen(TRIAL) - network(TRIAL)).abs().max() <= MOST_MOVED
    assert network.projection.weight.dtype is torch.float32  # the original stays


def test_half_precision_that_moves_a_logit_is_not_offered() -> None:
    plain = small_network()
    with torch.no_grad():
        plain.proj.weight.mul_(1e4)
    network = FusedRiskNetwork(plain)
    chosen, dtype = reduced(network, TRIAL)
    assert (chosen, dtype) == (network, torch.float32)


def test_half_precision_that_overflows_is_not_offered() -> None:
    plain = small_network()
    with torch.no_grad():
        plain.encoder.post_extract_proj.weight.mul_(1e6)
    _, dtype = reduced(FusedRiskNetwork(plain), TRIAL, dtypes=(torch.float16,))
    assert dtype is torch.float32


@pytest.fixture
def full_size() -> RiskNetwork:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    torch.manual_seed(0)
    return RiskNetwork(NetworkConfig()).eval()


@pytest.mark.gpu
def test_a_gpu_gives_the_logits_of_the_cpu(full_size: RiskNetwork) -> None:
    expected = WindowLogits(full_size, device="cpu")(trial_windows())
    found = WindowLogits(full_size, device="cuda")(trial_windows())
    np.testing.assert_allclose(found, expected, atol=MOST_MOVED)


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 3, 16])
def test_a_recorded_graph_gives_what_its_network_gives(full_size: RiskNetwork, count: int) -> None:
    network = FusedRiskNetwork(full_size).cuda()
    graphed = GraphedNetwork(network, samples=2500)
    signal = TRIAL[:count].cuda()
    with torch.inference_mode():
        for _ in range(2):  # recorded, and replayed
            torch.testing.assert_close(graphed(signal), network(signal), atol=1e-4, rtol=0)


@pytest.mark.gpu
def test_what_else_is_in_the_batch_does_not_matter(full_size: RiskNetwork) -> None:
    logits = WindowLogits(full_size, device="cuda")
    windows = trial_windows()
    others = windows.copy()
    others[1:] *= 50.0
    among = logits(windows)[0]
    assert among == pytest.approx(logits(others)[0], abs=1e-5)
    assert among == pytest.approx(logits(windows[:1])[0], abs=1e-5)  # another graph
