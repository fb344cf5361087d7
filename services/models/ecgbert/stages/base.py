"""What a fine-tune starts from: weights in the guide's order of search, and clusters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from services.errors import NotFound, UnusableInput
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.public.checkpoint import (
    pretrained_files,
    read_checkpoint,
    with_guide_ids,
)
from services.models.ecgbert.public.cluster_files import clusters_at
from services.models.ecgbert.public.pretrained_folder import (
    CARD,
    WEIGHTS,
    read_pretrained_folder,
)
from services.models.ecgbert.stages.settings import Mode

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Base:
    """tensors: under the public checkpoint's names; None starts from random weights.

    clusters: None fits them to the patients that train. name: for the card. sha256: of the weights.
    """

    tensors: Mapping[str, Tensor] | None
    clusters: Clusters | None
    name: str
    sha256: str | None


def read_base(pretrained: Path | None, clustering: Path | None, *, mode: Mode) -> Base:
    """Weights and clusters, both checked.

    pretrained: a folder of `ectopy ecgbert pretrain` or `import-checkpoint`, or else the public
    files in the guide's order. In the default mode their ids become the guide's; the reference
    leaves the rows where they are, as the original does. Raises NotFound listing what was looked
    for, MalformedInput for another vocabulary, width or number of clusters.
    """
    own = _is_own_folder(pretrained)
    tensors: Mapping[str, Tensor] | None = None
    clusters: Clusters | None = None
    name, digest = "random weights", None
    if pretrained is not None and own:
        network, clusters = read_pretrained_folder(pretrained)
        tensors, name = network.state_dict(), pretrained.name
        digest = _sha256(pretrained / WEIGHTS)
    elif pretrained is not None:
        if not pretrained.exists():
            raise NotFound(f"pretrained_model_path: there is no file or folder {pretrained}")
        files = pretrained_files(pretrained)
        tensors = read_checkpoint(pretrained)
        tensors = with_guide_ids(tensors) if mode is Mode.DEFAULT else tensors
        name, digest = files[0].name, _sha256(*files)
    if clustering is not None:
        if not clustering.exists():
            raise NotFound(f"clustering_dir: there is no file or folder {clustering}")
        clusters = clusters_at(clustering)
    if mode is Mode.REFERENCE and clusters is None:
        raise UnusableInput("the reference mode needs clusters: name clustering_dir")
    return Base(tensors, clusters, name, digest)


def _is_own_folder(folder: Path | None) -> bool:
    if folder is None or not (folder / CARD).is_file():
        return False
    try:
        return isinstance(json.loads((folder / CARD).read_text()), dict)
    except ValueError:
        return False


def _sha256(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
