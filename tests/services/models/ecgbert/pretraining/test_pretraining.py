"""Pre-training on made records: what it learns, leaves, and goes on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from services.errors import Cancelled, UnusableInput
from services.models.ecgbert.guide.chunks import ChunkedSentences
from services.models.ecgbert.guide.network import GuideConfig
from services.models.ecgbert.pretraining.masking import MaskedChunks, MaskedWaveNetwork
from services.models.ecgbert.pretraining.pretraining import PretrainingRecipe, pretrain
from services.models.ecgbert.public.pretrained_folder import read_pretrained_folder
from services.models.ecgbert.stages.parallel import Workforce
from services.models.ecgbert.stages.survey import surveyed
from services.training.progress import NoProgress
from tests.services.models.ecgbert.pretraining.test_masking import made
from tests.services.models.ecgbert.stages.made_dataset import ALONE, write_dataset, write_record
from tests.services.models.ecgbert.tiny import tiny_clusters

RECIPE = PretrainingRecipe(epochs=2, batch=2, attention_window=64)


def run_on(data: Path, out: Path, *, run: Workforce = ALONE, **changes: Any) -> dict[str, Any]:
    return pretrain(
        surveyed(data, ALONE),
        tiny_clusters(),
        run,
        recipe=replace(RECIPE, **changes),
        out=out,
        device="cpu",
    )


def test_the_result_is_a_base_like_the_imported_public_files(tmp_path: Path) -> None:
    card = run_on(write_dataset(tmp_path / "data"), tmp_path / "out")
    network, clusters = read_pretrained_folder(tmp_path / "out")
    assert network.fc.weight.shape == (75, 32)
    np.testing.assert_array_equal(clusters.centroids[0], tiny_clusters().centroids[0])
    assert card["epochs"] == 2
    assert len(card["validation_patients"]) == 1


def test_a_run_that_was_interrupted_ends_at_the_same_weights(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    run_on(data, tmp_path / "whole")

    class Interrupting(NoProgress):
        def event(self, kind: str, data: dict[str, Any]) -> None:
            if kind == "epoch":
                raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Cancelled)):
        run_on(data, tmp_path / "cut", run=Workforce(1, Interrupting()))
    assert not (tmp_path / "cut" / "card.json").exists()
    run_on(data, tmp_path / "cut")
    whole, cut = (load_file(tmp_path / n / "weights.safetensors") for n in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_it_learns_what_follows_what(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data")
    card = run_on(tmp_path / "data", tmp_path / "out", epochs=12, learning_rate=0.01, batch=1)
    losses = [entry["metrics"]["masked_loss"] for entry in card["history"]]
    assert min(losses) < 0.8 * losses[0]


def test_patients_that_validate_are_not_trained_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("201", "202", "203"):
        write_record(data, name, symbols=None)  # annotations are not needed
    card = run_on(data, tmp_path / "out", epochs=1)
    assert card["validation_patients"] in (["201"], ["203"])


def test_one_patient_is_not_enough(tmp_path: Path) -> None:
    for name in ("201", "202"):
        write_record(tmp_path / "data", name)
    with pytest.raises(UnusableInput, match="two patients"):
        run_on(tmp_path / "data", tmp_path / "out")


def test_what_a_chunk_says_does_not_depend_on_those_packed_with_it() -> None:
    torch.manual_seed(0)
    network = MaskedWaveNetwork(GuideConfig()).eval()
    data = MaskedChunks(ChunkedSentences([made("wave")[0]], size=60))
    alone = data.sentences
    with torch.no_grad():
        at = np.arange(len(data))
        together = network(alone.tokens(at), alone.signal(at), alone.lengths(at))
        last = at[-1:]  # shorter than the others
        single = network(alone.tokens(last), alone.signal(last), alone.lengths(last))
    torch.testing.assert_close(together[-len(single) :], single, rtol=1e-4, atol=1e-5)
