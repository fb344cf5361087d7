"""The public checkpoint -> our network: found, opened without executing it, checked, mapped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from services.errors import MalformedInput, NotFound
from services.models.ecgbert import spec
from services.models.ecgbert.reference import spec as reference
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.public_checkpoints import read_public_checkpoint

# where the guide looks, in its order; the last resort is any .pth file
EMBEDDING_FILE, ENCODER_FILE = "emb_model_1_results.pth", "bert_model_1_results.pth"
SINGLE_FILE = "sf1.0_bs32_lr0.0005_ep500_ecgbert_model.pth"

MAX_BYTES = 256 * 1024 * 1024  # stored or unpacked; the public file has 0.8 MB
_SHOWN = 5  # keys that an error names

_VOCABULARY_TENSORS = ("token_embedding.weight", "fc.weight", "fc.bias")


def pretrained_files(where: Path) -> tuple[Path, ...]:
    """The file itself; in a folder the two files, else the single one, else the first .pth by name.

    NotFound listing what was looked for.
    """
    if where.is_file():
        return (where,)
    both = (where / EMBEDDING_FILE, where / ENCODER_FILE)
    if all(file.is_file() for file in both):
        return both
    if (where / SINGLE_FILE).is_file():
        return (where / SINGLE_FILE,)
    # the original takes whichever its file system lists first
    others = sorted(where.glob("*.pth")) if where.is_dir() else []
    others = [file for file in others if file not in both]
    if others:
        return (others[0],)
    raise NotFound(
        f"no pretrained weights at {where.name}; looked for {EMBEDDING_FILE} together with "
        f"{ENCODER_FILE}, then {SINGLE_FILE}, then any other .pth file"
    )


def read_checkpoint(where: Path) -> dict[str, Tensor]:
    """Every tensor under the public file's names, its rows being the ids of pre-training.

    where: a file, or a folder in which the guide's order is followed. Raises NotFound, TooLarge,
    and MalformedInput naming the first tensors that are missing, unknown, or of another shape.
    """
    files = pretrained_files(where)
    found: dict[str, Tensor] = {}
    for file in files:
        found |= {_public_name(name): tensor for name, tensor in _tensors(file).items()}
    _check(found, " and ".join(file.name for file in files))
    return {name: tensor.contiguous() for name, tensor in found.items()}


def with_guide_ids(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights with the vocabulary in the guide's order: row t is the guide's id t.

    Reorders the rows of the token embedding and of the masked-token output; nothing else depends
    on ids.
    """
    rows = torch.tensor(pretrain_ids())
    return {
        name: tensor[rows] if name in _VOCABULARY_TENSORS else tensor
        for name, tensor in checkpoint.items()
    }


def pretrain_ids() -> tuple[int, ...]:
    """The checkpoint's id of each of the guide's 75: waves 4 higher, then the special tokens.

    70, free in the guide, takes [UNK] (74), so that all rows stay and the mapping can be undone.
    """
    waves = tuple(id + reference.PRETRAIN_ID_SHIFT for id in range(spec.UNUSED_ID))
    special = {
        spec.UNUSED_ID: reference.PRETRAIN_UNKNOWN_ID,
        spec.CLS_ID: reference.PRETRAIN_CLS_ID,
        spec.SEP_ID: reference.PRETRAIN_SEP_ID,
        spec.MASK_ID: reference.PRETRAIN_MASK_ID,
        spec.PAD_ID: reference.PRETRAIN_PAD_ID,
    }
    return waves + tuple(special[id] for id in range(spec.UNUSED_ID, spec.VOCABULARY_SIZE))


def guide_network(checkpoint: Mapping[str, Tensor]) -> GuideNetwork:
    """The network with these weights, in evaluation mode; every tensor must be there."""
    network = GuideNetwork()
    network.load_state_dict(dict(checkpoint), strict=True)
    return network.eval()


def expected_tensors() -> dict[str, Tensor]:
    """Name, shape and type of each tensor of the checkpoint; no values."""
    with torch.device("meta"):
        return dict(GuideNetwork().state_dict())


def _tensors(file: Path) -> dict[str, Tensor]:
    return _as_tensors(file, read_public_checkpoint(file, max_bytes=MAX_BYTES))


def _as_tensors(file: Path, stored: Any) -> dict[str, Tensor]:
    if not isinstance(stored, dict) or not stored:
        raise MalformedInput(f"{file.name}: holds no state dict (names and tensors)")
    for name, value in stored.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise MalformedInput(f"{file.name}: {name!r} is no tensor; expected a plain state dict")
    return dict(stored)


def _public_name(name: str) -> str:
    """As the single public file spells it: no DataParallel prefix, the encoder's layers in full."""
    name = name.removeprefix("module.")
    return f"transformer.{name}" if name.startswith("layers.") else name


def _check(found: Mapping[str, Tensor], shown: str) -> None:
    expected = expected_tensors()
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    if missing or unknown:
        raise MalformedInput(
            f"{shown}: not the tensors of the public ECGBERT checkpoint; "
            f"missing {_some(missing)}; unknown {_some(unknown)}"
        )
    for name, want in expected.items():
        have = found[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            raise MalformedInput(
                f"{shown}: {name} is {have.dtype} {list(have.shape)}, expected {want.dtype} "
                f"{list(want.shape)} (vocabulary {spec.VOCABULARY_SIZE}, width {spec.WIDTH})"
            )


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
