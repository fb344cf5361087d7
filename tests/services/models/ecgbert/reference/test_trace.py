"""A trace of a record that has less than the original takes for granted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from services.errors import UnusableInput
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.reference.digital_record import read_digital_record
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.ecgbert.reference.trace import reference_trace
from services.models.ecgbert.spec import CLUSTERS_PER_WAVE
from services.training.progress import NoProgress

SAMPLE = Path(__file__).resolve().parents[5] / "examples" / "208_excerpt"


def made_clusters() -> Clusters:
    rng = np.random.default_rng(5)
    return Clusters(tuple(rng.normal(size=(count, 10)) for count in CLUSTERS_PER_WAVE))


def made_network() -> GuideNetwork:
    torch.manual_seed(7)
    return GuideNetwork()


def test_a_record_without_annotations_has_every_stage_but_labels() -> None:
    record = dataclasses.replace(read_digital_record(SAMPLE, seconds=10), annotations=None)
    arrays = reference_trace(record, made_clusters(), made_network(), progress=NoProgress())
    n = len(arrays["lead0_tokens"])
    assert n > 20
    assert arrays["lead0_embedding"].shape == arrays["lead0_encoder"].shape == (n, 32)
    assert arrays["lead0_plus4_logits"].shape == (n, 75)
    assert not [name for name in arrays if "label" in name or "annotation" in name]


def test_a_record_without_any_peak_is_refused() -> None:
    record = read_digital_record(SAMPLE, seconds=10)
    flat = dataclasses.replace(record, physical=np.zeros_like(record.physical))
    with pytest.raises(UnusableInput, match="no R peak"):
        reference_trace(flat, made_clusters(), made_network(), progress=NoProgress())
