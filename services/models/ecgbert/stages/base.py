"""What a fine-tune starts from: weights in the guide's order of search, and clusters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from services.errors import NotFound, UnusableInput
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide import model_folder
from services.models.ecgbert.public.checkpoint import (
    pretrained_files,
    read_checkpoint,
    with_guide_ids,
)
from services.models.ecgbert.public.cluster_files import clusters_at
from services.models.ecgbert.stages.settings import Mode

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Start:
    """tensors: under the public checkpoint's names; None starts from random weights.

    labels: of the head among them, empty without one. clusters: None fits them to the patients that
    train. granularity: that the weights were made with, where they say. name, sha256: for the card.
    """

    tensors: Mapping[str, Tensor] | None = None
    labels: tuple[str, ...] = ()
    clusters: Clusters | None = None
    name: str = "random weights"
    sha256: str | None = None
    granularity: str | None = None


def start_from(pretrained: Path | None, clustering: Path | None, *, mode: Mode) -> Start:
    """Weights and clusters, both checked.

    pretrained: a model folder (of `ectopy ecgbert pretrain`, `import-checkpoint` or a fine-tune),
    or else the public files in the guide's order. In the default mode their ids become the guide's;
    the reference leaves the rows where they are, as the original does. Raises NotFound listing what
    was looked for, MalformedInput for another vocabulary, width or number of clusters.
    """
    start = Start() if pretrained is None else _weights(pretrained, mode)
    clusters = start.clusters if clustering is None else _clusters(clustering)
    if mode is Mode.REFERENCE and clusters is None:
        raise UnusableInput("the reference mode needs clusters: name clustering_dir")
    return replace(start, clusters=clusters)


def _weights(pretrained: Path, mode: Mode) -> Start:
    if not pretrained.exists():
        raise NotFound(f"pretrained_model_path: there is no file or folder {pretrained}")
    if (pretrained / model_folder.CARD).is_file():
        if mode is Mode.REFERENCE:
            raise UnusableInput(
                "the reference mode starts from the public files, whose ids it leaves where they "
                f"are; those of {pretrained.name} are the guide's"
            )
        base = model_folder.read_base(pretrained)
        labels = tuple(base.card.get("labels", ())) if base.predicts else ()
        digest = _sha256(pretrained / model_folder.WEIGHTS)
        granularity = base.card.get("granularity")
        return Start(base.tensors, labels, base.clusters, pretrained.name, digest, granularity)
    files = pretrained_files(pretrained)
    tensors = read_checkpoint(pretrained)
    if mode is Mode.DEFAULT:
        tensors = with_guide_ids(tensors)
    return Start(tensors, name=files[0].name, sha256=_sha256(*files))


def _clusters(clustering: Path) -> Clusters:
    if not clustering.exists():
        raise NotFound(f"clustering_dir: there is no file or folder {clustering}")
    return clusters_at(clustering)


def _sha256(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
