"""Every value that the original computes for the first minute of three records, against ours.

How the golden files were made stands beside them, in ../shared/reference/ecgbert/README.md.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.public.checkpoint import guide_network, read_checkpoint
from services.models.ecgbert.reference.digital_record import read_digital_record
from services.models.ecgbert.reference.trace import reference_trace
from services.training.progress import NoProgress
from tests.services.models.ecgbert.shared_files import (
    CHECKPOINT,
    CLUSTERS,
    MITDB,
    REFERENCE,
    needs_mitdb,
    needs_reference,
)

pytestmark = [needs_reference, needs_mitdb]

SIGNAL_TOLERANCE_MV = 1e-9
NETWORK_TOLERANCE = 1e-4
NETWORK_STAGES = ("embedding", "encoder", "logits", "plus4_logits")

Pair = tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]


@pytest.fixture(params=["100", "119", "207"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """The original's arrays of a record, and ours."""
    return traced(request.param)


@cache  # in whichever order the tests come, a record is traced once
def traced(name: str) -> Pair:
    with np.load(REFERENCE / f"golden_{name}.npz") as golden:
        theirs = {key: golden[key] for key in golden}
    ours = reference_trace(
        read_digital_record(MITDB / name, seconds=60),
        Clusters.load(CLUSTERS),
        guide_network(read_checkpoint(CHECKPOINT)),
        progress=NoProgress(),
    )
    return theirs, ours


def test_a_trace_has_the_names_shapes_and_types_of_the_golden_files(pair: Pair) -> None:
    theirs, ours = pair
    assert {n: (a.shape, a.dtype) for n, a in ours.items()} == {
        n: (a.shape, a.dtype) for n, a in theirs.items()
    }


def test_everything_that_is_no_fraction_is_equal(pair: Pair) -> None:
    theirs, ours = pair
    whole = [name for name, array in theirs.items() if array.dtype.kind != "f"]
    assert {"lead0_rpeaks", "lead1_tokens", "lead1_segments_bg", "lead0_token_label"} <= set(whole)
    assert [n for n in whole if not np.array_equal(theirs[n], ours[n])] == []


def test_the_signal_and_its_means_agree_within_a_billionth_of_a_millivolt(pair: Pair) -> None:
    theirs, ours = pair
    for name in ("preprocessed", "lead0_segment_mean", "lead1_segment_mean"):
        difference = np.abs(theirs[name] - ours[name]).max()
        assert difference <= SIGNAL_TOLERANCE_MV, name
    # stored in single precision
    np.testing.assert_array_equal(theirs["bandstopped"], ours["bandstopped"])


@pytest.mark.parametrize("stage", NETWORK_STAGES)
def test_the_network_agrees_at_every_stage(pair: Pair, stage: str) -> None:
    theirs, ours = pair
    for lead in ("lead0", "lead1"):
        difference = np.abs(theirs[f"{lead}_{stage}"] - ours[f"{lead}_{stage}"]).max()
        assert difference <= NETWORK_TOLERANCE
