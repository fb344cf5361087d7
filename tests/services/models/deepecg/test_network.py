"""What the network does with padding, pooling, lengths and gradients, on a small one."""

from __future__ import annotations

import pytest
import torch

from services.models.deepecg.network import (
    NetworkConfig,
    RiskNetwork,
    empty_network,
    hidden_tokens,
    mean_of_nonzero,
    reset_head,
    token_count,
)
from tests.services.models.deepecg.small import SMALL, small_network, twelve_lead_signal


@pytest.fixture(scope="module")
def network() -> RiskNetwork:
    return small_network()


def windows(n: int = 2, samples: int = 320) -> torch.Tensor:
    return torch.stack(
        [torch.from_numpy(twelve_lead_signal(seed=seed))[:, :samples] for seed in range(n)]
    )


def test_it_has_the_published_size() -> None:
    with torch.device("meta"):
        network = RiskNetwork(NetworkConfig())

    assert sum(p.numel() for p in network.parameters()) == 90_374_017


@pytest.mark.parametrize(
    ("samples", "tokens"), [(2500, 156), (2496, 156), (5000, 312), (16, 1), (31, 1)]
)
def test_a_token_covers_sixteen_samples(samples: int, tokens: int) -> None:
    assert int(token_count(torch.tensor(samples))) == tokens


def test_one_token_comes_out_for_each_that_went_in(network: RiskNetwork) -> None:
    with torch.inference_mode():
        assert network.encoder(windows(), None).shape == (2, 20, SMALL.width)


def test_a_constant_offset_of_a_lead_changes_nothing(network: RiskNetwork) -> None:
    x = windows()
    moved = x.clone()
    moved[:, 3] += 5.0
    with torch.inference_mode():
        assert torch.allclose(network(moved), network(x), atol=1e-4)


def test_exchanged_leads_change_the_answer(network: RiskNetwork) -> None:
    x = windows()
    exchanged = x.clone()
    exchanged[:, [3, 4]] = x[:, [4, 3]]
    with torch.inference_mode():
        assert (network(exchanged) - network(x)).abs().max() > 1e-3


def test_a_mask_that_hides_nothing_is_no_mask(network: RiskNetwork) -> None:
    x = windows()
    with torch.inference_mode():
        assert torch.equal(network(x, torch.zeros(2, 320, dtype=torch.bool)), network(x))


def test_a_mask_may_be_given_for_each_lead() -> None:
    mask = torch.arange(320) >= torch.tensor([[320], [160]])
    hidden = hidden_tokens(mask)

    assert hidden is not None
    assert hidden.sum(dim=1).tolist() == [0, 10]
    assert torch.equal(hidden, hidden_tokens(mask[:, None].expand(-1, 12, -1)))


def test_what_padded_samples_hold_reaches_only_the_norm_and_the_neighbours(
    network: RiskNetwork,
) -> None:
    """Hidden tokens are neither attended to nor averaged: the transformer does not see them."""
    x = torch.randn(1, 20, SMALL.width)
    other = x.clone()
    other[:, 12:] = 9.0
    hidden = torch.arange(20)[None] >= 12
    with torch.inference_mode():
        first, second = (network.encoder.encoder(t, hidden)[:, :12] for t in (x, other))
    assert torch.equal(first, second)


def test_pooling_leaves_zeros_out_of_the_mean() -> None:
    x = torch.tensor([[[2.0, 0.0], [4.0, 0.0], [0.0, 0.0]]])

    assert mean_of_nonzero(x).tolist() == [[3.0, 0.0]]


def test_only_an_unfrozen_extractor_has_gradients() -> None:
    for train in (False, True):
        network = RiskNetwork(NetworkConfig(**{**SMALL.as_card(), "train_extractor": train}))
        network(windows()).sum().backward()
        without = {name for name, p in network.named_parameters() if p.grad is None}
        assert all("feature_extractor" in name for name in without)
        assert len(without) == (0 if train else 6)


def test_dropout_is_on_in_training_alone(network: RiskNetwork) -> None:
    x = windows()
    with torch.inference_mode():
        assert torch.equal(network(x), network(x))
        training = small_network().train()
        assert not torch.equal(training(x), training(x))


def test_an_empty_network_takes_any_weights() -> None:
    full, empty = small_network(), empty_network(SMALL)
    empty.load_state_dict(full.state_dict())
    with torch.inference_mode():
        assert torch.equal(empty.eval()(windows()), full(windows()))


def test_a_new_head_leaves_the_global_generator_alone() -> None:
    network = small_network()
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    reset_head(network, generator=torch.Generator().manual_seed(1))

    assert torch.equal(torch.randn(3), expected)
