"""The original modules' numbers on full-size formula weights: 1e-4 everywhere, most to 1e-5."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from typer.testing import CliRunner

from ectopy.cli import app
from services.models.deepecg import spec
from services.models.deepecg.checkpoint import Head, Layout, network_from, read_checkpoint
from services.models.deepecg.importing import look_untrained
from services.models.deepecg.inference import WindowLogits
from services.models.deepecg.network import RiskNetwork, without_padding
from tests.services.models.deepecg.conftest import Golden, Maker

TOLERANCE = 1e-4
VIEWS = {
    "act_conv": lambda a: a[0, :16],
    "act_feature_norm": lambda a: a[0, :, :16],
    "act_post_extract_proj": lambda a: a[0, :, :16],
    "act_conv_pos": lambda a: a[0, :, :16],
    "act_encoder_input_norm": lambda a: a[0, :, :16],
    "act_encoder": lambda a: a[0, :, :16],
    "act_conv0": lambda a: a[0, :8, ::10],
}


def test_every_tensor_of_the_manifests_is_known_by_name_shape_and_order(
    kit: Path, full_network: RiskNetwork
) -> None:
    manifest = json.loads((kit / "wcr_afib_5y.keys.json").read_text())
    ours = {name: list(tensor.shape) for name, tensor in full_network.state_dict().items()}

    assert list(ours.items()) == list(manifest.items())
    assert sum(p.numel() for p in full_network.parameters()) == 90_374_017


@pytest.fixture(scope="module")
def seen(full_network: RiskNetwork, golden: Golden) -> dict[str, np.ndarray]:
    """One forward pass of the four recordings: logits, pooled, and every stage's output."""
    backbone = full_network.encoder
    stages: dict[str, nn.Module] = {
        "act_conv0": backbone.feature_extractor.conv_layers[0],
        "act_conv": backbone.feature_extractor,
        "act_feature_norm": backbone.layer_norm,
        "act_post_extract_proj": backbone.post_extract_proj,
        "act_conv_pos": backbone.conv_pos,
        "act_encoder_input_norm": backbone.encoder.layer_norm,
        "act_encoder": backbone.encoder,
    }
    stages |= {f"layer{i}": layer for i, layer in enumerate(backbone.encoder.layers)}
    kept: dict[str, np.ndarray] = {}

    def keep(name: str):
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            kept[name] = output.numpy()

        return hook

    hooks = [stage.register_forward_hook(keep(name)) for name, stage in stages.items()]
    with torch.inference_mode():
        pooled = full_network.pooled(torch.from_numpy(golden["inputs"]))
        logits = full_network.proj(pooled)
    for hook in hooks:
        hook.remove()
    return kept | {"pooled": pooled.numpy(), "logits": logits.numpy()}


def test_logits_and_pooled_features_are_the_originals(
    seen: dict[str, np.ndarray], golden: Golden
) -> None:
    assert abs(seen["logits"] - golden["logits_float32"]).max() < TOLERANCE
    assert abs(seen["pooled"] - golden["pooled"]).max() < TOLERANCE
    assert abs(seen["pooled"][0] - golden["act_pooled"]).max() < TOLERANCE


@pytest.mark.parametrize("stage", sorted(VIEWS))
def test_each_stage_gives_what_the_original_gives(
    stage: str, seen: dict[str, np.ndarray], golden: Golden
) -> None:
    ours = VIEWS[stage](seen[stage])

    assert ours.shape == golden[stage].shape
    assert abs(ours - golden[stage]).max() < TOLERANCE


def test_each_of_the_twelve_layers_gives_what_the_original_gives(
    seen: dict[str, np.ndarray], golden: Golden
) -> None:
    ours = np.stack([seen[f"layer{i}"][0, ::12, ::48] for i in range(spec.LAYERS)])

    assert abs(ours - golden["act_layers"]).max() < TOLERANCE


def test_other_lengths_and_gains_give_what_the_original_gives(
    full_network: RiskNetwork, golden: Golden
) -> None:
    some = slice(1, 3)  # one has zeroed chest leads, the most sensitive to gain
    x = torch.from_numpy(golden["inputs"][some])
    inputs = {
        "first_1250": x[..., :1250],
        "mirrored_5000": torch.cat([x, x.flip(-1)], dim=-1),
        "scaled_1000x": x * 1000,
        "scaled_0p001x": x * 0.001,
    }
    with torch.inference_mode():
        for name, signal in inputs.items():
            found = full_network(signal).numpy()
            assert abs(found - golden[f"logits_{name}"][some]).max() < TOLERANCE, name


def test_a_padding_mask_means_what_it_means_in_the_original(
    full_network: RiskNetwork, golden: Golden
) -> None:
    some = slice(0, 3)  # 2500 (nothing padded), 2000 and 1250 samples
    x = torch.from_numpy(golden["inputs"][some])
    mask = torch.arange(x.shape[-1]) >= torch.from_numpy(golden["padded_lengths"][some])[:, None]
    padded = x.masked_fill(mask[:, None], 0.0)
    with torch.inference_mode():
        masked = full_network(padded, mask).numpy()
        unmasked = full_network(padded).numpy()

    assert abs(masked - golden["logits_padded_with_mask"][some]).max() < TOLERANCE
    assert abs(unmasked - golden["logits_padded_no_mask"][some]).max() < TOLERANCE


def test_gradients_are_the_originals_and_the_extractor_stays_frozen(
    full_network: RiskNetwork, golden: Golden
) -> None:
    labels = torch.from_numpy(golden["labels"])
    # gradients of a sum add up: in two halves they need less memory
    losses = []
    for half in (slice(0, 2), slice(2, 4)):
        logits = full_network(torch.from_numpy(golden["inputs"][half]))
        loss = F.binary_cross_entropy_with_logits(logits, labels[half], reduction="sum")
        loss.backward()
        losses.append(float(loss.detach()))
    gradients = {name: p.grad for name, p in full_network.named_parameters()}
    full_network.zero_grad(set_to_none=True)

    assert sum(losses) == pytest.approx(float(golden["bce_sum"]), abs=TOLERANCE)
    for name, norm, frozen in zip(
        golden["grad_names"], golden["grad_norms"], golden["grad_is_none"], strict=True
    ):
        gradient = gradients.pop(str(name))
        assert (gradient is None) == bool(frozen), name
        if gradient is not None:
            assert float(gradient.norm()) == pytest.approx(float(norm), rel=1e-4, abs=1e-4), name
            if name == "proj.weight":
                assert abs(gradient.numpy() - golden["grad_proj_weight"]).max() < TOLERANCE
    assert not gradients


def test_half_precision_files_with_old_leftovers_give_the_originals_logits(
    made_checkpoint: Maker, golden: Golden
) -> None:
    file = made_checkpoint("wcr_afib_5y", dtype="float16", layout="objects")
    checkpoint = read_checkpoint(file)
    logits = WindowLogits(network_from(checkpoint), device="cpu")(golden["inputs"][:3])

    assert checkpoint.dtype is torch.float16
    assert abs(logits - golden["logits_float16"][:3, 0]).max() < TOLERANCE


def test_the_pretraining_file_gives_the_originals_features(
    made_checkpoint: Maker, golden: Golden
) -> None:
    checkpoint = read_checkpoint(made_checkpoint("base_ssl"))
    network = network_from(checkpoint, head=Head.RESET)
    with torch.inference_mode():
        tokens = network.encoder(torch.from_numpy(golden["inputs"][:2]), None)
        features = without_padding(tokens, None)

    assert checkpoint.layout is Layout.BASE_SSL
    assert len(checkpoint.tensors) == 207
    assert abs(features[0, :, :16].numpy() - golden["ssl_encoder"]).max() < TOLERANCE
    assert abs(features.mean(dim=1).numpy() - golden["ssl_pooled"][:2]).max() < TOLERANCE


def test_what_answers_requests_gives_the_originals_logits_alone_and_together(
    full_network: RiskNetwork, golden: Golden
) -> None:
    logits_of = WindowLogits(full_network, device="cpu")
    together = logits_of(golden["inputs"])
    alone = logits_of(golden["inputs"][2:3])

    assert abs(together - golden["logits_float32"][:, 0]).max() < TOLERANCE
    assert alone[0] == together[2]


def test_formula_weights_show_that_nobody_trained_them(full_network: RiskNetwork) -> None:
    assert look_untrained(dict(full_network.state_dict()))


def test_the_command_writes_logits_of_a_full_size_checkpoint(
    classifier_file: Path, golden: Golden, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", golden["inputs"][:2])
    arguments = ["--checkpoint", classifier_file, "--input", tmp_path / "x.npy"]
    done = CliRunner().invoke(
        app, ["deepecg", "logits", *map(str, arguments), "--out", str(tmp_path / "y.npy")]
    )

    assert done.exit_code == 0, done.output
    logits = np.load(tmp_path / "y.npy")
    assert logits.shape == (2, 1)
    assert logits.dtype == np.float32
    assert abs(logits - golden["logits_float32"][:2]).max() < TOLERANCE


def test_the_command_resets_the_head_and_touches_nothing_else(
    made_checkpoint: Maker, tmp_path: Path
) -> None:
    old = made_checkpoint("wcr_afib_5y", dtype="float16", layout="objects")
    done = CliRunner().invoke(
        app, ["deepecg", "reset-head", str(old), str(tmp_path / "new.pt"), "--seed", "7"]
    )

    assert done.exit_code == 0, done.output
    before, after = read_checkpoint(old), read_checkpoint(tmp_path / "new.pt")
    changed = [n for n, t in before.tensors.items() if not torch.equal(t, after.tensors[n])]
    weight = after.tensors["proj.weight"].float()
    assert changed == ["proj.weight", "proj.bias"]
    assert after.dtype is torch.float16
    assert after.settings == before.settings
    assert float(weight.abs().max()) == pytest.approx(0.0883, abs=1e-3)
    assert float(after.tensors["proj.bias"].abs().max()) == 0.0
    (tmp_path / "new.pt").unlink()
