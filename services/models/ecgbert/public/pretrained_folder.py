"""A pretrained start as a folder: weights with the guide's ids, clusters, and where from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from services.ecg.segmentation import WAVE_NAMES
from services.errors import MalformedInput, NotFound
from services.models import weights
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide.spec import FAMILY
from services.models.ecgbert.public.checkpoint import (
    guide_network,
    pretrained_files,
    read_checkpoint,
    with_guide_ids,
)
from services.models.ecgbert.public.cluster_files import (
    CLUSTERS_NPZ,
    cluster_file_names,
    clusters_at,
    read_cluster_folder,
    write_clusters_npz,
)
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.ecgbert.spec import TASK

WEIGHTS = "weights.safetensors"
CARD = "card.json"
KIND = "pretrained"  # a start for training: it labels nothing by itself
DEFAULT_NAME = "ecgbert-public"


def import_public_files(checkpoint: Path, *, clusters: Path, into: Path) -> list[str]:
    """Writes weights.safetensors, clusters.npz and, last, card.json; returns their names.

    checkpoint: the public .pth file, or a folder (the guide's order). clusters: the folder with the
    four public files, or with a clusters.npz, or that file. Everything is read and checked before
    anything is written; what they raise goes through.
    """
    write_pretrained_folder(checkpoint, clusters=clusters, into=into, name=DEFAULT_NAME)
    return [WEIGHTS, CLUSTERS_NPZ, CARD]


def import_public(file: Path, *, into: Path, name: str | None = None) -> dict[str, Any]:
    """Implements services.models.interface.Importer: the clusters lie beside the checkpoint."""
    beside = file.parent
    files = sorted(beside.glob("*.npz"))
    clusters = files[0] if len(files) == 1 else beside
    return write_pretrained_folder(beside, clusters=clusters, into=into, name=name or DEFAULT_NAME)


def write_pretrained_folder(
    checkpoint: Path, *, clusters: Path, into: Path, name: str
) -> dict[str, Any]:
    """As `import_public_files`; returns the card of a start that by itself answers nothing."""
    files = pretrained_files(checkpoint)
    network = guide_network(with_guide_ids(read_checkpoint(checkpoint)))
    found = clusters_at(clusters)
    of_clusters = _cluster_sources(clusters)
    into.mkdir(parents=True, exist_ok=True)
    weights.save(network, into / WEIGHTS)
    if of_clusters[0].suffix == ".pkl":
        write_clusters_npz(read_cluster_folder(clusters), into / CLUSTERS_NPZ)
    else:
        found.save(into / CLUSTERS_NPZ)
    sizes = [len(centers) for centers in found.centroids]
    card = pretrained_card(name) | {
        "clusters": dict(zip(WAVE_NAMES, sizes, strict=True)),
        "sources": {each.name: f"sha256:{_sha256(each)}" for each in (*files, *of_clusters)},
        "caution": "its attention never learned, its centres are in another space: docs/ecgbert.md",
    }
    (into / CARD).write_text(json.dumps(card, indent=2) + "\n")
    return card


def pretrained_card(name: str) -> dict[str, Any]:
    """What every start says of itself: a fine-tune of the guide's family may begin there."""
    return {
        "name": name,
        "task": TASK,
        "family": FAMILY,
        "kind": KIND,
        "predicts": False,
        "granularity": "wave",
        "token_ids": "guide: waves 0-69, CLS 71, SEP 72, MASK 73, PAD 74; row 70 is [UNK]",
        "limits": ["It has no output for beats; a fine-tune may start from it."],
    }


def read_pretrained_folder(folder: Path) -> tuple[GuideNetwork, Clusters]:
    """What `import_public_files` wrote; the network has the guide's ids and is in evaluation mode.

    Raises NotFound for a missing file, MalformedInput for one that is of another kind.
    """
    missing = [name for name in (WEIGHTS, CLUSTERS_NPZ, CARD) if not (folder / name).is_file()]
    if missing:
        raise NotFound(f"the folder of pretrained weights has no {', '.join(missing)}")
    try:
        card = json.loads((folder / CARD).read_text())
    except ValueError as problem:
        raise MalformedInput(f"{CARD}: not JSON: {problem}") from problem
    if not isinstance(card, dict) or (card.get("family"), card.get("kind")) != (FAMILY, KIND):
        raise MalformedInput(f"{CARD}: expected family {FAMILY!r} and kind {KIND!r}")
    network = GuideNetwork()
    weights.load_strictly(network, folder / WEIGHTS)
    return network.eval(), Clusters.load(folder / CLUSTERS_NPZ)


def _cluster_sources(clusters: Path) -> list[Path]:
    """The files that `clusters_at` reads there."""
    if clusters.is_file():
        return [clusters]
    if (clusters / CLUSTERS_NPZ).is_file():
        return [clusters / CLUSTERS_NPZ]
    return [clusters / name for name in cluster_file_names()]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
