"""Which published file it is, whether it is whole, and what a fine-tune starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from services.errors import MalformedInput, UnusableInput
from services.models.deepecg.checkpoint import (
    Head,
    Layout,
    PublicCheckpoint,
    expected_shapes,
    network_from,
    read_checkpoint,
    save_checkpoint,
)
from services.models.deepecg.network import NetworkConfig
from tests.services.models.deepecg.small import (
    SMALL,
    base_tensors,
    classifier_tensors,
    saved,
    small_network,
)


def read(path: Path) -> PublicCheckpoint:
    return read_checkpoint(path, config=SMALL)


def test_the_published_files_have_215_and_209_tensors() -> None:
    assert len(expected_shapes(NetworkConfig(), Layout.BASE_SSL)) == 215
    assert len(expected_shapes(NetworkConfig(), Layout.CLASSIFIER)) == 209


def test_a_classifier_comes_back_tensor_by_tensor(tmp_path: Path) -> None:
    network = small_network()
    found = read(saved(tmp_path / "a.pt", classifier_tensors(network)))

    assert found.layout is Layout.CLASSIFIER
    assert found.dtype is torch.float32
    assert found.settings == {"model": {"num_labels": 1}}
    again = network_from(found, config=SMALL).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())


def test_a_state_dict_alone_is_read_too(tmp_path: Path) -> None:
    torch.save(classifier_tensors(small_network()), tmp_path / "a.pt")

    assert read(tmp_path / "a.pt").layout is Layout.CLASSIFIER


def test_the_pretraining_file_loses_its_eight_tensors_by_name(tmp_path: Path) -> None:
    network = small_network()
    found = read(saved(tmp_path / "a.pt", base_tensors(network)))

    assert found.layout is Layout.BASE_SSL
    assert not [name for name in found.tensors if "quantizer" in name or "mask_emb" in name]
    assert torch.equal(
        found.tensors["encoder.layer_norm.weight"], network.encoder.layer_norm.weight
    )
    assert torch.equal(
        found.tensors["encoder.encoder.layer_norm.weight"],
        network.encoder.encoder.layer_norm.weight,
    )


def test_half_precision_is_computed_in_float32(tmp_path: Path) -> None:
    halves = {name: t.half() for name, t in classifier_tensors(small_network()).items()}
    found = read(saved(tmp_path / "a.pt", halves))

    assert found.dtype is torch.float16
    assert {p.dtype for p in network_from(found, config=SMALL).parameters()} == {torch.float32}


def test_the_later_naming_of_the_weight_norm_is_the_same_file(tmp_path: Path) -> None:
    old = classifier_tensors(small_network())
    new = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in old.items()
    }
    assert new.keys() != old.keys()
    found = read(saved(tmp_path / "a.pt", new))

    assert all(torch.equal(tensor, found.tensors[name]) for name, tensor in old.items())


def _without_bias(model: dict[str, Tensor]) -> None:
    del model["encoder.encoder.layers.1.fc1.bias"]


def _with_one_more(model: dict[str, Tensor]) -> None:
    model["encoder.surprise"] = torch.zeros(1)


def _transposed(model: dict[str, Tensor]) -> None:
    model["encoder.post_extract_proj.weight"] = model["encoder.post_extract_proj.weight"].T.clone()


def _whole_numbers(model: dict[str, Tensor]) -> None:
    model["proj.bias"] = torch.zeros(1, dtype=torch.int64)


def _mixed(model: dict[str, Tensor]) -> None:
    model["proj.bias"] = torch.zeros(1, dtype=torch.float16)


def _both_namings(model: dict[str, Tensor]) -> None:
    place = "encoder.conv_pos.pos_conv.0."
    model[place + "parametrizations.weight.original0"] = model[place + "weight_g"]


def _nested_classifier(model: dict[str, Tensor]) -> None:
    for name in [name for name in model if name.startswith("encoder.")]:
        model["encoder." + name] = model.pop(name)


def _seventy_seven_labels(model: dict[str, Tensor]) -> None:
    model["proj.weight"], model["proj.bias"] = torch.zeros(77, 16), torch.zeros(77)


def _huge_view(model: dict[str, Tensor]) -> None:
    model["proj.bias"] = torch.zeros(1).expand(10_000_000_000)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without_bias, r"missing encoder\.encoder\.layers\.1\.fc1\.bias; unexpected none"),
        (_with_one_more, r"missing none; unexpected encoder\.surprise"),
        (_transposed, r"post_extract_proj\.weight has the shape \[8, 16\], expected \[16, 8\]"),
        (_whole_numbers, r"proj\.bias is torch\.int64, expected float32 or float16"),
        (_mixed, "float32 and float16 are mixed"),
        (_both_namings, "under both of its names"),
        (_nested_classifier, r"unexpected encoder\.encoder\.encoder\.layers"),
        (_seventy_seven_labels, r"proj\.weight has the shape \[77, 16\], expected \[1, 16\]"),
        (_huge_view, r"proj\.bias has the shape \[10000000000\]"),
    ],
)
def test_anything_else_is_refused_with_what_differs(
    change: Callable[[dict[str, Tensor]], None], told: str, tmp_path: Path
) -> None:
    model = classifier_tensors(small_network())
    change(model)

    with pytest.raises(MalformedInput, match=told):
        read(saved(tmp_path / "a.pt", model))


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {}}, {"model": {"a": "text"}}, None])
def test_files_without_tensors_are_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pt")

    with pytest.raises(MalformedInput, match=r"a\.pt: "):
        read(tmp_path / "a.pt")


def test_a_fine_tune_starts_from_three_places(tmp_path: Path) -> None:
    network = small_network()
    classifier = read(saved(tmp_path / "a.pt", classifier_tensors(network)))
    base = read(saved(tmp_path / "b.pt", base_tensors(network)))

    kept = network_from(classifier, head=Head.KEEP, config=SMALL)
    reset = network_from(classifier, head=Head.RESET, config=SMALL)
    fresh = network_from(base, head=Head.RESET, config=SMALL)

    assert torch.equal(kept.proj.weight, network.proj.weight)
    for start in (reset, fresh):
        assert not torch.equal(start.proj.weight, network.proj.weight)
        assert start.proj.bias.tolist() == [0.0]
        assert torch.equal(
            start.encoder.post_extract_proj.weight, network.encoder.post_extract_proj.weight
        )
    with pytest.raises(UnusableInput, match="has no head to keep"):
        network_from(base, head=Head.KEEP, config=SMALL)


def test_a_head_is_drawn_from_its_seed_alone(tmp_path: Path) -> None:
    found = read(saved(tmp_path / "a.pt", classifier_tensors(small_network())))
    draw = [
        network_from(found, head=Head.RESET, config=SMALL, seed=seed).proj.weight
        for seed in (1, 1, 2)
    ]

    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    assert float(draw[0].detach().abs().max()) <= (6 / (SMALL.width + 1)) ** 0.5


def test_a_saved_checkpoint_is_a_published_one_again(tmp_path: Path) -> None:
    halves = {name: t.half() for name, t in classifier_tensors(small_network()).items()}
    first = read(saved(tmp_path / "a.pt", halves, last_optimizer_state={"state": torch.ones(9)}))
    save_checkpoint(network_from(first, config=SMALL), tmp_path / "b.pt", like=first)
    again = read(tmp_path / "b.pt")

    assert again.dtype is torch.float16
    assert again.settings == first.settings
    assert again.container["last_optimizer_state"] is None
    assert list(again.tensors) == list(first.tensors)
    assert all(torch.equal(tensor, again.tensors[name]) for name, tensor in first.tensors.items())
