"""The network that answers requests computes what the plain one does."""

from __future__ import annotations

import pytest
import torch

from services.models.deepecg.dense import Dense, GroupedConv, can_pack, pack_all
from services.models.deepecg.fused_network import FusedRiskNetwork
from services.models.deepecg.network import NetworkConfig
from tests.services.models.deepecg.small import SMALL, small_network, twelve_lead_signal


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.stack([torch.from_numpy(twelve_lead_signal(seed=seed)) for seed in range(3)])


@pytest.mark.parametrize("samples", [2500, 1250, 1003, 16])
def test_logits_are_the_plain_networks(x: torch.Tensor, samples: int) -> None:
    network = small_network()
    with torch.inference_mode():
        expected = network(x[..., :samples])
        assert (FusedRiskNetwork(network)(x[..., :samples]) - expected).abs().max() < 1e-5


def test_an_odd_positional_kernel_keeps_its_last_token(x: torch.Tensor) -> None:
    network = small_network(config=NetworkConfig(**{**SMALL.as_card(), "position_kernel": 7}))
    with torch.inference_mode():
        assert (FusedRiskNetwork(network)(x) - network(x)).abs().max() < 1e-5


@pytest.mark.parametrize("samples", [2500, 1003, 16])
@pytest.mark.parametrize("taps", [SMALL.position_kernel, 7])
def test_packed_weights_give_the_same_logits(x: torch.Tensor, samples: int, taps: int) -> None:
    if not can_pack():
        pytest.skip("this CPU or this build of torch has no oneDNN")
    network = small_network(config=NetworkConfig(**{**SMALL.as_card(), "position_kernel": taps}))
    fused = FusedRiskNetwork(network)
    assert pack_all(fused)
    with torch.inference_mode():
        difference = fused(x[..., :samples]) - network(x[..., :samples])
        assert difference.abs().max() < 1e-5


@pytest.mark.parametrize("part", [Dense, GroupedConv])
def test_packing_is_left_alone_where_it_would_change_numbers(
    monkeypatch: pytest.MonkeyPatch, x: torch.Tensor, part: type[torch.nn.Module]
) -> None:
    def wrong(self: torch.nn.Module) -> None:
        self.bias = torch.nn.Parameter(torch.zeros_like(self.bias))

    monkeypatch.setattr(part, "pack", wrong)
    network = small_network()
    fused = FusedRiskNetwork(network)

    assert not pack_all(fused)
    with torch.inference_mode():
        assert (fused(x) - network(x)).abs().max() < 1e-5


def test_its_source_stays_as_it_was(x: torch.Tensor) -> None:
    network = small_network()
    fused = FusedRiskNetwork(network)
    with torch.inference_mode():
        before = fused(x)

    assert all(p.requires_grad for p in network.parameters())
    assert not any(p.requires_grad for p in fused.parameters())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    with torch.inference_mode():
        assert torch.equal(fused(x), before)


def test_a_half_type_keeps_signal_pooling_and_logits_in_float32(x: torch.Tensor) -> None:
    network = small_network()
    fused = FusedRiskNetwork(network)
    fused.compute_in(torch.bfloat16)
    with torch.inference_mode():
        assert fused(x).dtype is torch.float32
        assert fused.layers[0].fc1.weight.dtype is torch.bfloat16
        # how near depends on the processor (0.25 to 0.31 by AMX, for these made weights);
        # what serves is measured before it is used, and refused past 0.02
        assert 0 < (fused(x) - network(x)).abs().max() < 0.5
