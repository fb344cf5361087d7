"""The guide's network: its tensors, its sums, its chunks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from services.models.ecgbert import spec
from services.models.ecgbert.reference.network import GuideNetwork, UNet, network_outputs
from tests.services.models.ecgbert.shared_files import REFERENCE, needs_reference


def made_network() -> GuideNetwork:
    torch.manual_seed(7)
    return GuideNetwork().eval()


def test_it_has_as_many_trainable_values_as_the_checkpoint() -> None:
    assert sum(value.numel() for value in GuideNetwork().parameters()) == 65_387


@needs_reference
def test_its_tensors_are_those_of_the_checkpoint() -> None:
    listed = json.loads((REFERENCE / "checkpoint.keys.json").read_text())
    ours = GuideNetwork().state_dict()
    assert {n: (list(t.shape), str(t.dtype).removeprefix("torch.")) for n, t in ours.items()} == {
        name: (entry["shape"], entry["dtype"]) for name, entry in listed.items()
    }


def test_the_u_net_gives_one_vector_for_every_token() -> None:
    unet = UNet().eval()
    for n_tokens in (1, 2, 3, 4, 5, 297, 300):
        assert unet(torch.zeros(1, n_tokens)).shape == (1, n_tokens, 32)


def test_the_token_embedding_counts_twice() -> None:
    network = made_network()
    tokens, means = torch.tensor([[3, 50]]), torch.zeros(1, 2)
    with torch.inference_mode():
        before = network.embedded(tokens, means)
        network.token_embedding.weight[3] += 1.0
        after = network.embedded(tokens, means)
    torch.testing.assert_close(after - before, torch.tensor([[[2.0] * 32, [0.0] * 32]]))


def test_places_are_counted_from_zero_in_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec, "CHUNK_TOKENS", 8)
    network = made_network()
    tokens, means = np.full(13, 7), np.zeros(13)
    whole = network_outputs(network, tokens, means)
    second = network_outputs(network, tokens[8:], means[8:])
    assert whole.logits.shape == (13, 75)
    np.testing.assert_allclose(whole.logits[8:], second.logits, atol=1e-5)


def test_every_token_sees_all_others_of_its_chunk() -> None:
    network = made_network()
    means = np.zeros(20)
    changed = np.zeros(20, dtype=np.int64)
    plain = network_outputs(network, changed, means).encoder
    changed[-1] = 60
    assert np.abs(network_outputs(network, changed, means).encoder[0] - plain[0]).max() > 1e-4
