"""The public checkpoint: found in the guide's order, checked strictly, ids mapped."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from services.errors import MalformedInput, NotFound, TooLarge
from services.models.ecgbert.public import checkpoint as checkpoint_module
from services.models.ecgbert.public.checkpoint import (
    EMBEDDING_FILE,
    ENCODER_FILE,
    SINGLE_FILE,
    guide_network,
    pretrain_ids,
    pretrained_files,
    read_checkpoint,
    with_guide_ids,
)
from services.models.ecgbert.reference.network import GuideNetwork, network_outputs
from tests.services.models.ecgbert.public.made_files import Attack
from tests.services.models.ecgbert.shared_files import CHECKPOINT, REFERENCE, needs_reference


@pytest.fixture
def state() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return dict(GuideNetwork().state_dict())


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_the_two_files_come_first(tmp_path: Path) -> None:
    touch(tmp_path, EMBEDDING_FILE, ENCODER_FILE, SINGLE_FILE, "a.pth")
    assert [file.name for file in pretrained_files(tmp_path)] == [EMBEDDING_FILE, ENCODER_FILE]


def test_then_the_single_one(tmp_path: Path) -> None:
    touch(tmp_path, EMBEDDING_FILE, SINGLE_FILE, "a.pth")
    assert [file.name for file in pretrained_files(tmp_path)] == [SINGLE_FILE]


def test_then_the_first_other_by_name(tmp_path: Path) -> None:
    touch(tmp_path, EMBEDDING_FILE, "b.pth", "a.pth", "a.txt")
    assert [file.name for file in pretrained_files(tmp_path)] == ["a.pth"]


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "mine.pth", SINGLE_FILE)
    assert pretrained_files(tmp_path / "mine.pth") == (tmp_path / "mine.pth",)


@pytest.mark.parametrize("where", ["", "nowhere"])
def test_nothing_found_lists_what_was_looked_for(where: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        pretrained_files(tmp_path / where)
    for name in (EMBEDDING_FILE, ENCODER_FILE, SINGLE_FILE, ".pth"):
        assert name in caught.value.detail


def test_two_files_and_one_hold_the_same(state: dict[str, Tensor], tmp_path: Path) -> None:
    encoder = {
        name.removeprefix("transformer."): tensor
        for name, tensor in state.items()
        if name.startswith(("transformer.", "fc."))
    }
    embedding = {name: state[name] for name in state if not name.startswith(("transf", "fc."))}
    torch.save(embedding, tmp_path / EMBEDDING_FILE)
    torch.save(encoder, tmp_path / ENCODER_FILE)
    read = read_checkpoint(tmp_path)
    assert set(read) == set(state)
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_a_prefix_of_data_parallel_is_taken_off(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({f"module.{n}": t for n, t in state.items()}, tmp_path / "a.pth")
    assert set(read_checkpoint(tmp_path)) == set(state)


def test_missing_and_unknown_tensors_are_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    state["embedding.weight"] = state.pop("token_embedding.weight")
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(MalformedInput) as caught:
        read_checkpoint(tmp_path)
    assert "missing token_embedding.weight; unknown embedding.weight" in caught.value.detail
    assert caught.value.detail.startswith("a.pth: ")


def test_of_many_differing_tensors_the_first_are_named(tmp_path: Path) -> None:
    torch.save({"fc.bias": torch.zeros(75)}, tmp_path / "a.pth")
    with pytest.raises(MalformedInput, match=r"token_embedding\.weight, .* and \d+ more"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("rows", [74, 101])
def test_another_vocabulary_is_refused(rows: int, state: dict[str, Tensor], tmp_path: Path) -> None:
    state["token_embedding.weight"] = torch.zeros(rows, 32)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(MalformedInput, match=rf"\[{rows}, 32\], expected .* \[75, 32\].*width 32"):
        read_checkpoint(tmp_path)


def test_another_type_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({n: t.double() for n, t in state.items()}, tmp_path / "a.pth")
    with pytest.raises(MalformedInput, match=r"torch\.float64"):
        read_checkpoint(tmp_path)


def test_code_in_a_checkpoint_is_refused_and_named(tmp_path: Path) -> None:
    mark = tmp_path / "was-here"
    torch.save({"fc.bias": Attack(os.system, f"touch {mark}")}, tmp_path / "a.pth")
    with pytest.raises(MalformedInput, match=r"nothing was run.*would call posix\.system"):
        read_checkpoint(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(MalformedInput, match=r"a\.pth"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("stored", [[1, 2], {}, {"a": 1}, {3: torch.zeros(1)}])
def test_what_is_no_state_dict_is_refused(stored: object, tmp_path: Path) -> None:
    torch.save(stored, tmp_path / "a.pth")
    with pytest.raises(MalformedInput, match="state dict"):
        read_checkpoint(tmp_path)


def test_a_file_that_unpacks_to_too_much_is_not_opened(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state, tmp_path / "a.pth")
    monkeypatch.setattr(checkpoint_module, "MAX_BYTES", 1000)
    with pytest.raises(TooLarge, match=r"a\.pth"):
        read_checkpoint(tmp_path)


def test_every_id_of_pre_training_is_mapped_once() -> None:
    assert sorted(pretrain_ids()) == list(range(75))


def test_ids_are_mapped_as_the_two_vocabularies_have_them() -> None:
    ids = pretrain_ids()
    assert (ids[0], ids[11]) == (4, 15)  # P
    assert (ids[12], ids[30]) == (16, 34)  # QRS
    assert (ids[31], ids[44]) == (35, 48)  # T
    assert (ids[45], ids[69]) == (49, 73)  # background
    assert ids[70:] == (74, 1, 2, 3, 0)  # free and [UNK], CLS, SEP, MASK, PAD


def test_mapping_moves_rows_and_nothing_else(state: dict[str, Tensor]) -> None:
    mapped = with_guide_ids(state)
    assert torch.equal(mapped["token_embedding.weight"][12], state["token_embedding.weight"][16])
    assert torch.equal(mapped["fc.weight"][71], state["fc.weight"][1])
    assert torch.equal(mapped["fc.bias"][74], state["fc.bias"][0])
    moved = {name for name in state if not torch.equal(mapped[name], state[name])}
    assert moved == {"token_embedding.weight", "fc.weight", "fc.bias"}


@needs_reference
def test_with_the_guides_ids_the_checkpoint_says_what_it_was_trained_to_say() -> None:
    """The golden logits with the training ids, from ids of the guide, column by column."""
    network = guide_network(with_guide_ids(read_checkpoint(CHECKPOINT)))
    with np.load(REFERENCE / "golden_100.npz") as golden:
        tokens, means = golden["lead0_tokens"].astype(np.int64), golden["lead0_segment_mean"]
        expected = golden["lead0_plus4_logits"][:, list(pretrain_ids())]
    np.testing.assert_allclose(network_outputs(network, tokens, means).logits, expected, atol=1e-4)
