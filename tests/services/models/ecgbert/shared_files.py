"""Where the original's files and values lie, and marks for the tests that need them."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[5] / "shared"
REFERENCE = SHARED / "reference" / "ecgbert"
MITDB = SHARED / "data" / "mitdb"
CHECKPOINT = REFERENCE / "sf1.0_bs32_lr0.0005_ep500_ecgbert_model.pth"
CLUSTER_FOLDER = REFERENCE / "preprocessed" / "clustering_models" / "0.1"
CLUSTERS = REFERENCE / "clusters.npz"

needs_reference = pytest.mark.skipif(
    not CHECKPOINT.is_file(), reason="needs the original's files in ../shared/reference/ecgbert"
)
needs_mitdb = pytest.mark.skipif(
    not (MITDB / "100.dat").is_file(), reason="needs MIT-BIH records in ../shared/data/mitdb"
)
