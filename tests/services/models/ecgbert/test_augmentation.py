from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from services.models.ecgbert.augmentation import Augmentation, Inputs, augmented
from services.models.ecgbert.network import N_RHYTHM
from services.models.ecgbert.reference_beat import SIMILARITY_FEATURES
from services.models.ecgbert.spec import MASK_ID

NOTHING = Augmentation(**{field.name: 0 for field in fields(Augmentation)})


def batch(n: int = 64) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randint(0, 70, (n, 2, 5), generator=generator),
        torch.randn((n, 2, 120), generator=generator),
        torch.randn((n, 2, 120), generator=generator),
        torch.randn((n, N_RHYTHM), generator=generator),
        torch.randn((n, 2, SIMILARITY_FEATURES), generator=generator),
    )


def varied(**strengths: float) -> Inputs:
    how = replace(NOTHING, **strengths)
    return augmented(batch(), how, torch.Generator().manual_seed(1))


def test_without_strength_nothing_changes() -> None:
    for before, after in zip(batch(), varied(), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("strength", "changed"),
    [
        ({"gain": 0.2}, {1, 2}),
        ({"wander": 0.1}, {1}),
        ({"noise": 0.1}, {1}),
        ({"shift": 2}, {1}),
        ({"rr_jitter": 0.1}, {3}),
        ({"similarity_jitter": 0.1}, {4}),
        ({"masked_words": 0.5}, {0}),
        ({"swap": 1.0}, {0, 1, 2, 4}),
    ],
)
def test_each_strength_changes_its_own_inputs_alone(
    strength: dict[str, float], changed: set[int]
) -> None:
    pairs = enumerate(zip(batch(), varied(**strength), strict=True))
    assert {place for place, (before, after) in pairs if not torch.equal(before, after)} == changed


def test_a_lead_and_its_ordinary_beat_share_their_gain() -> None:
    before, after = batch(), varied(gain=0.3)
    assert torch.allclose(after[1] / before[1], (after[2] / before[2]), rtol=1e-3)


def test_one_lead_leaves_a_batch_of_one_lead() -> None:
    assert [part.shape[1] for part in varied(one_lead=1.0)[:2]] == [1, 1]


def test_masked_words_become_the_mask() -> None:
    words = varied(masked_words=0.5)[0]
    share = float((words == MASK_ID).float().mean())
    assert 0.4 < share < 0.6
    assert torch.equal(words[words != MASK_ID], batch()[0][words != MASK_ID])
