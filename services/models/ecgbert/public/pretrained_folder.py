"""A pretrained start as a folder: weights with the guide's ids, clusters, and where from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from services.ecg.segmentation import WAVE_NAMES
from services.errors import MalformedInput, NotFound
from services.models import weights
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.public.checkpoint import (
    guide_network,
    pretrained_files,
    read_checkpoint,
    with_guide_ids,
)
from services.models.ecgbert.public.cluster_files import (
    CLUSTERS_NPZ,
    cluster_file_names,
    read_cluster_folder,
    write_clusters_npz,
)
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.ecgbert.spec import FAMILY

WEIGHTS = "weights.safetensors"
CARD = "card.json"
KIND = "pretrained"  # a start for training: it labels nothing by itself


def import_public_files(checkpoint: Path, *, clusters: Path, into: Path) -> list[str]:
    """Writes weights.safetensors, clusters.npz and, last, card.json; returns their names.

    checkpoint: the public .pth file, or a folder (the guide's order). clusters: the folder with the
    four public files. Everything is read and checked before anything is written; what they raise
    goes through.
    """
    files = pretrained_files(checkpoint)
    network = guide_network(with_guide_ids(read_checkpoint(checkpoint)))
    found = read_cluster_folder(clusters)
    into.mkdir(parents=True, exist_ok=True)
    weights.save(network, into / WEIGHTS)
    write_clusters_npz(found, into / CLUSTERS_NPZ)
    sources = [*files, *(clusters / name for name in cluster_file_names())]
    card = {
        "family": FAMILY,
        "kind": KIND,
        "granularity": "wave",
        "token_ids": "guide: waves 0-69, CLS 71, SEP 72, MASK 73, PAD 74; row 70 is [UNK]",
        "clusters": {wave: len(found[wave].centers) for wave in WAVE_NAMES},
        "sources": {file.name: f"sha256:{_sha256(file)}" for file in sources},
        "caution": "its attention never learned, its centres are in another space: docs/ecgbert.md",
    }
    (into / CARD).write_text(json.dumps(card, indent=2) + "\n")
    return [WEIGHTS, CLUSTERS_NPZ, CARD]


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


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
