"""Which published file this is, whether it is whole, and which network a fine-tune starts from.

`base_ssl.pt` (215 tensors) is the pre-trained model: backbone, and eight tensors that only
pre-training needs. `wcr_afib_5y.pt` (209) is the classifier: the same backbone behind the prefix
`encoder.`, and a head. `encoder.layer_norm` is in both and means different things, so the layout is
decided once for a file, never name by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from services.errors import MalformedInput, UnusableInput
from services.models import public_checkpoints
from services.models.deepecg import spec
from services.models.deepecg.network import NetworkConfig, RiskNetwork, empty_network, reset_head

PREFIX = "encoder."
HEAD = "proj."
_FLOATS = (torch.float32, torch.float16)
_SHOWN = 3  # names that a refusal lists
# the two namings of the weight norm: torch.nn.utils.weight_norm, and its successor
_RENAMED = (
    ("parametrizations.weight.original0", "weight_g"),
    ("parametrizations.weight.original1", "weight_v"),
)
PUBLISHED = NetworkConfig()


class Layout(StrEnum):
    """The two published files."""

    BASE_SSL = "base_ssl"
    CLASSIFIER = "classifier"


class Head(StrEnum):
    """What becomes of the head at the start of a fine-tune."""

    KEEP = "keep"
    RESET = "reset"


@dataclass(frozen=True)
class PublicCheckpoint:
    """A published file, checked: every tensor it must have and no other.

    tensors: under the names of RiskNetwork, without a head for base_ssl; views of the file.
    dtype: float32 or float16, as stored. settings: the file's `cfg`, if it has one.
    container: everything else at its top level.
    """

    layout: Layout
    tensors: dict[str, Tensor]
    dtype: torch.dtype
    settings: Mapping[str, Any] = field(default_factory=dict)
    container: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(
    path: Path,
    *,
    config: NetworkConfig = PUBLISHED,
    max_bytes: int = public_checkpoints.MAX_BYTES,
) -> PublicCheckpoint:
    """Opens a published file; see `public_checkpoints` for what it refuses before this.

    Raises MalformedInput naming the first tensors that are missing, unexpected or of another
    shape or type.
    """
    content = public_checkpoints.read_public_checkpoint(path, max_bytes=max_bytes)
    tensors = _tensors(path.name, content)
    layout = _layout(tensors)
    _require_exactly(path.name, tensors, expected_shapes(config, layout), layout)
    kept = {name: t for name, t in tensors.items() if name not in pretraining_shapes(config)}
    if layout is Layout.BASE_SSL:
        kept = {PREFIX + name: tensor for name, tensor in kept.items()}
    container = {k: v for k, v in content.items() if k != "model"} if "model" in content else {}
    settings = container.get("cfg")
    return PublicCheckpoint(
        layout=layout,
        tensors=kept,
        dtype=next(iter(kept.values())).dtype,
        settings=settings if isinstance(settings, dict) else {},
        container=container,
    )


def network_from(
    checkpoint: PublicCheckpoint,
    *,
    head: Head = Head.KEEP,
    config: NetworkConfig = PUBLISHED,
    seed: int = 1,
) -> RiskNetwork:
    """The float32 network of a file, in evaluation mode, its head kept or drawn anew from `seed`.

    Raises UnusableInput for the head of base_ssl, which has none to keep.
    """
    headless = checkpoint.layout is Layout.BASE_SSL
    if headless and head is Head.KEEP:
        raise UnusableInput(
            "base_ssl is the pre-trained model and has no head to keep; start with head=reset, or "
            "from wcr_afib_5y"
        )
    network = empty_network(config)
    if head is Head.RESET:
        reset_head(network, generator=torch.Generator().manual_seed(seed))
    filled = network.state_dict()
    with torch.no_grad():
        for name, tensor in checkpoint.tensors.items():
            if not (head is Head.RESET and name.startswith(HEAD)):
                filled[name].copy_(tensor)
    return network.eval()


def save_checkpoint(network: RiskNetwork, path: Path, *, like: PublicCheckpoint) -> None:
    """Writes the network as a published classifier, in the type and with the settings of `like`.

    Optimiser moments are left out: they belong to the weights before the change.
    """
    tensors = {
        name: tensor.detach().to(like.dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    container: dict[str, Any] = {
        "args": None,
        "cfg": dict(like.settings),
        "model": tensors,
        "criterion": None,
        "optimizer_history": [],
        "task_state": {},
        "extra_state": {},
        "last_optimizer_state": None,
    }
    public_checkpoints.write_public_checkpoint(container, path)


def expected_shapes(config: NetworkConfig, layout: Layout) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor that a file of this layout has."""
    with torch.device("meta"):
        network = RiskNetwork(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if layout is Layout.CLASSIFIER:
        return shapes
    backbone = {
        name.removeprefix(PREFIX): shape
        for name, shape in shapes.items()
        if not name.startswith(HEAD)
    }
    return backbone | pretraining_shapes(config)


def pretraining_shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """The eight tensors of base_ssl that serve pre-training alone; they are dropped by name."""
    channels, entries, final = config.conv_channels, spec.QUANTIZER_ENTRIES, spec.CONTRAST_WIDTH
    codes = 2 * spec.QUANTIZER_WIDTH  # two groups of the quantiser side by side
    return {
        "mask_emb": (config.width,),
        "quantizer.vars": (1, entries, spec.QUANTIZER_WIDTH),
        "quantizer.weight_proj.weight": (entries, channels),
        "quantizer.weight_proj.bias": (entries,),
        "project_q.weight": (final, codes),
        "project_q.bias": (final,),
        "final_proj.weight": (final, config.width),
        "final_proj.bias": (final,),
    }


def _tensors(file: str, content: Any) -> dict[str, Tensor]:
    """The model's tensors: the entry `model`, or the whole file if it is a state dict alone."""
    found = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found:
        raise MalformedInput(f"{file}: no entry 'model' with tensors, as a published file has")
    tensors: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise MalformedInput(f"{file}: model[{name!r}] is a {type(tensor).__name__}, no tensor")
        tensors[_renamed(name)] = tensor.detach()
    if len(tensors) != len(found):
        raise MalformedInput(f"{file}: the weight norm is there under both of its names")
    return tensors


def _renamed(name: str) -> str:
    for later, usual in _RENAMED:
        if name.endswith(later):
            return name.removesuffix(later) + usual
    return name


def _layout(tensors: Mapping[str, Tensor]) -> Layout:
    classifier = HEAD + "weight" in tensors or any(
        name.startswith(PREFIX + PREFIX) for name in tensors
    )
    return Layout.CLASSIFIER if classifier else Layout.BASE_SSL


def _require_exactly(
    file: str,
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, tuple[int, ...]],
    layout: Layout,
) -> None:
    missing = [name for name in expected if name not in tensors]
    unexpected = [name for name in tensors if name not in expected]
    if missing or unexpected:
        raise MalformedInput(
            f"{file}: not the {layout} layout: {len(tensors)} tensors, expected {len(expected)}; "
            f"missing {_some(missing)}; unexpected {_some(unexpected)}"
        )
    for name, shape in expected.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            raise MalformedInput(
                f"{file}: {name} has the shape {list(tensor.shape)}, expected {list(shape)}"
            )
        if tensor.dtype not in _FLOATS or tensor.layout is not torch.strided:
            raise MalformedInput(f"{file}: {name} is {tensor.dtype}, expected float32 or float16")
    if len({tensor.dtype for tensor in tensors.values()}) > 1:
        raise MalformedInput(f"{file}: float32 and float16 are mixed, expected one of them")


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
