from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from services.models.ecgbert import spec
from services.models.ecgbert.network import (
    N_RHYTHM,
    POSITIONS,
    WAVE_POINTS,
    BeatNetwork,
    NetworkConfig,
    SignalEmbedding,
    attention,
)
from services.models.ecgbert.reference_beat import SIMILARITY_FEATURES
from tests.services.models.ecgbert.tiny import TINY, tiny_network


def batch(n: int = 3, leads: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    windows = torch.randn((n, leads, 120), generator=generator)
    return (
        torch.randint(0, 70, (n, leads, 5), generator=generator),
        windows,
        windows[:1].expand(n, leads, 120),
        torch.randn((n, N_RHYTHM), generator=generator),
        torch.randn((n, leads, SIMILARITY_FEATURES), generator=generator),
    )


@pytest.mark.parametrize("leads", [1, 2])
def test_a_beat_has_one_row_of_logits_whatever_its_leads(leads: int) -> None:
    assert tiny_network()(*batch(leads=leads)).shape == (3, 5)


@pytest.mark.parametrize(("fused", "positions"), [(True, 7), (False, 13)])
def test_a_window_is_cls_then_the_waves_and_sep(fused: bool, positions: int) -> None:
    network = tiny_network(replace(TINY, fused_leads=fused))
    assert network.embedded(*batch(leads=2)).shape == (3, positions, 8)
    assert network(*batch(leads=2)).shape == (3, 5)
    assert POSITIONS == 13


@pytest.mark.parametrize("positions", [5, 9])
def test_attention_is_the_librarys(positions: int) -> None:
    qkv = torch.randn((3, positions, 3, 2, 4), generator=torch.Generator().manual_seed(0))
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    assert torch.allclose(attention(qkv), expected, atol=1e-5)


@pytest.mark.parametrize("n", [1, 7])
def test_the_signal_embedding_is_that_of_its_layers_one_by_one(n: int) -> None:
    torch.manual_seed(0)
    embedding = SignalEmbedding(2, 16, 32)
    for norm in (each for each in embedding.modules() if isinstance(each, torch.nn.BatchNorm1d)):
        for name in ("weight", "bias", "running_mean"):
            torch.nn.init.normal_(getattr(norm, name))
        assert norm.running_var is not None
        torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    embedding.eval()
    signal = torch.randn((n, 2, 120))
    fine = embedding.encoder1(signal)
    wide = embedding.decoder1(embedding.encoder2(fine)) + fine
    parts = [wide[:, :, first // 2 : end // 2] for first, end in WAVE_POINTS]
    pooled = [torch.cat([part.mean(-1), part.amax(-1)], dim=1) for part in parts]
    expected = embedding.pool(torch.stack(pooled, dim=1))
    assert torch.allclose(embedding(signal), expected, atol=1e-5)
    # and so is what a fine-tune learns from, where the normalisation is frozen
    first = next(embedding.encoder1.parameters())
    ours, theirs = (
        torch.autograd.grad(out.square().sum(), first)[0] for out in (embedding(signal), expected)
    )
    assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_fused_leads_may_come_in_either_order() -> None:
    inputs = batch(leads=2)
    swapped = [part.flip(1) if place != 3 else part for place, part in enumerate(inputs)]
    assert torch.allclose(tiny_network()(*inputs), tiny_network()(*swapped), atol=1e-5)


def test_beats_do_not_attend_to_one_another() -> None:
    network, inputs = tiny_network(), batch()
    together = network(*inputs)
    alone = network(*(part[1:2] for part in inputs))
    assert torch.allclose(together[1:2], alone, atol=1e-6)


def test_with_kinds_only_the_cluster_says_nothing_and_the_kind_of_wave_something() -> None:
    network = tiny_network(replace(TINY, kinds_only=True))
    words, *rest = batch()
    first, last, other = (torch.full_like(words, token) for token in (0, 11, 12))
    p_wave = network(first, *rest)
    assert torch.equal(network(last, *rest), p_wave)
    assert not torch.allclose(network(other, *rest), p_wave)
    hidden = torch.full_like(words, spec.MASK_ID)
    assert not torch.allclose(network(hidden, *rest), p_wave)


@pytest.mark.parametrize(("flag", "place"), [("tokens", 0), ("rhythm", 3), ("similarity", 4)])
def test_an_input_that_is_switched_off_changes_nothing(flag: str, place: int) -> None:
    inputs = list(batch())
    changed = list(inputs)
    changed[place] = torch.roll(inputs[place], 1, dims=0)
    on, off = tiny_network(), tiny_network(replace(TINY, **{flag: False}))
    assert not torch.allclose(on(*inputs), on(*changed))
    assert torch.equal(off(*inputs), off(*changed))


def test_the_ordinary_beat_is_unread_without_the_difference() -> None:
    inputs = list(batch())
    changed = [*inputs[:2], inputs[2] + 1.0, *inputs[3:]]
    plain = tiny_network(replace(TINY, difference=False))
    assert torch.equal(plain(*inputs), plain(*changed))


def test_the_guides_sizes_are_the_default() -> None:
    guide = NetworkConfig()
    assert (guide.width, guide.layers, guide.heads, guide.feed_forward) == (32, 4, 8, 64)
    assert BeatNetwork(guide).token_embedding.weight.shape == (75, 32)


def test_calibration_scales_and_shifts_logits() -> None:
    network = tiny_network()
    network.calibration_scale.fill_(2.0)
    network.calibration_bias.copy_(torch.arange(5.0))
    assert network.calibrated(torch.ones(1, 5)).tolist() == [[2.0, 3.0, 4.0, 5.0, 6.0]]
