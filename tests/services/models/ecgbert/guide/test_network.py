"""The packed network against the published one, and what a base gives it."""

from __future__ import annotations

import pytest
import torch

from services.errors import MalformedInput
from services.models.ecgbert.guide.network import GuideClassifier, GuideConfig, started_from
from services.models.ecgbert.reference.network import GuideNetwork


def drawn(n_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 70, (n_tokens,), generator=generator)
    return tokens, torch.randn(n_tokens, generator=generator)


def test_packed_chunks_give_what_the_published_network_gives_one_by_one() -> None:
    torch.manual_seed(0)
    network = GuideClassifier(GuideConfig()).eval()
    tokens, signal = drawn(230)
    found = network(tokens, signal, torch.tensor([100, 30, 100]))
    parts = []
    for first, end in ((0, 100), (100, 130), (130, 230)):
        embedded = network.embedded(tokens[None, first:end], signal[None, first:end])
        parts.append(network.head(network.encoded(embedded))[0])
    torch.testing.assert_close(found, torch.cat(parts), rtol=1e-4, atol=1e-5)


def test_a_window_hides_what_lies_outside_of_it() -> None:
    torch.manual_seed(0)
    network = GuideClassifier(GuideConfig(attention_window=16)).eval()
    embedded = torch.randn(160, 32)
    changed = embedded.clone()
    changed[159] += 1
    lengths = torch.tensor([160])
    moved = (network.labelled(embedded, lengths) - network.labelled(changed, lengths)).abs().sum(1)
    assert moved[159] > 0
    assert moved[:100].max() == 0  # four layers, alternating windows of 16: at most 40 back
    assert moved[150] > 0


def test_dropout_is_drawn_in_training_alone() -> None:
    torch.manual_seed(0)
    network = GuideClassifier(GuideConfig(n_outputs=1))
    embedded, lengths = torch.randn(40, 32), torch.tensor([40])
    first, second = (network.train().labelled(embedded, lengths) for _ in range(2))
    assert first.shape == (40, 1)
    assert not torch.equal(first, second)
    network.eval()
    first, second = (network.labelled(embedded, lengths) for _ in range(2))
    assert torch.equal(first, second)


def test_a_base_gives_all_but_the_head() -> None:
    torch.manual_seed(0)
    base, network = GuideNetwork(), GuideClassifier(GuideConfig())
    head = network.head[0].weight.clone()
    started_from(network, base.state_dict(), head=False)
    assert torch.equal(network.token_embedding.weight, base.token_embedding.weight)
    assert torch.equal(network.head[0].weight, head)


def test_a_base_that_does_not_fit_is_named() -> None:
    network = GuideClassifier(GuideConfig())
    tensors = GuideNetwork().state_dict()
    tensors["token_embedding.weight"] = torch.zeros(80, 32)
    with pytest.raises(MalformedInput, match=r"token_embedding\.weight.*vocabulary 75, width 32"):
        started_from(network, tensors, head=False)
    with pytest.raises(MalformedInput, match=r"missing: head\.0\.weight"):
        started_from(network, GuideNetwork().state_dict(), head=True)
