"""`ectopy ecgbert …` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from ectopy.cli import app
from ectopy.ecgbert import run_finetuning
from services.errors import MalformedInput, NotPermitted, UnusableInput
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.reference.network import GuideNetwork
from tests.services.models.ecgbert.public.made_files import write_cluster_folder
from tests.services.models.ecgbert.stages.made_dataset import write_dataset
from tests.services.models.ecgbert.tiny import tiny_clusters

SAMPLE = Path(__file__).resolve().parents[3] / "examples" / "208_excerpt.hea"


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder with made files called like the public ones."""
    torch.manual_seed(2)
    torch.save(GuideNetwork().state_dict(), tmp_path / "made.pth")
    write_cluster_folder(tmp_path / "clusters")
    return tmp_path


def called(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["ecgbert", *map(str, arguments)])


def trace_arguments(public: Path, **others: object) -> list[object]:
    given = {"checkpoint": public, "clusters": public / "clusters", "seconds": 10} | others
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    return ["trace", SAMPLE, *options]


def test_a_trace_is_written_under_the_name_that_was_asked_for(public: Path) -> None:
    out = public / "trace"
    result = called(*trace_arguments(public, compat="reference", out=out))
    assert result.exit_code == 0, result.output
    with np.load(out) as arrays:
        assert arrays["preprocessed"].shape == (3600, 1)
        n_tokens = len(arrays["lead0_tokens"])
        assert arrays["lead0_logits"].shape == (n_tokens, 75)


def test_the_default_arithmetic_is_traced_under_the_same_names(public: Path) -> None:
    record = write_dataset(public / "data", ("a1",)) / "a1.hea"
    for compat in ("reference", "default"):
        arguments = trace_arguments(public, compat=compat, out=public / f"{compat}.npz")
        result = called(arguments[0], record, *arguments[2:])
        assert result.exit_code == 0, result.output
    with np.load(public / "reference.npz") as theirs, np.load(public / "default.npz") as ours:
        only_theirs = {"adc", "gain", "baseline", "lead0_plus4_logits", "lead1_plus4_logits"}
        assert set(theirs) - only_theirs <= set(ours)
        assert set(ours) - set(theirs) == {"lead0_token_beat", "lead1_token_beat"}
        starts, ends = ours["lead0_token_start"], ours["lead0_token_end"]
        assert (starts[1:] == ends[:-1]).all()  # half-open, and nothing is left out
        assert ends[-1] == len(ours["preprocessed"]) == 3600
        assert sorted(set(ours["lead0_token_label"].tolist())) == [-100, 0, 1, 2, 3, 4]
        labelled = ours["lead0_token_label"] != -100
        assert (labelled == (ours["lead0_token_beat"] >= 0)).all()
        assert ours["lead0_logits"].shape == (len(ours["lead0_tokens"]), 75)


def test_a_trace_into_a_folder_that_is_not_there_costs_no_work(public: Path) -> None:
    result = called(*trace_arguments(public, out=public / "nowhere" / "trace.npz"))
    assert isinstance(result.exception, UnusableInput)


def test_public_files_are_imported_into_a_folder(public: Path) -> None:
    out = public / "imported"
    result = called(
        "import-checkpoint", public / "made.pth", "--clusters", public / "clusters", "--out", out
    )
    assert result.exit_code == 0, result.output
    assert {file.name for file in out.iterdir()} == {
        "weights.safetensors", "clusters.npz", "card.json",
    }  # fmt: skip


def test_clusters_are_fitted_to_a_folder_of_records(tmp_path: Path) -> None:
    data, out = write_dataset(tmp_path / "data"), tmp_path / "new" / "clusters.npz"
    result = called("cluster", data, "--out", out, "--leave-out", "a1", "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "of 3 records" in result.output
    assert Clusters.load(out).points == "spread"


def test_clusters_that_cannot_be_written_cost_no_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = called("cluster", tmp_path, "--out", tmp_path / "file" / "clusters.npz")
    assert isinstance(result.exception, NotPermitted)


def test_a_base_is_pretrained_and_the_same_call_goes_on(tmp_path: Path) -> None:
    data, out = write_dataset(tmp_path / "data"), tmp_path / "base"
    tiny_clusters().save(tmp_path / "clusters.npz")
    options = ["--clusters", tmp_path / "clusters.npz", "--out", out, "--window", 64, "--jobs", 1]
    for epochs in (1, 2):
        result = called("pretrain", data, *options, "--epochs", epochs)
        assert result.exit_code == 0, result.output
        assert "a base from 4 records" in result.output
        assert len(json.loads((out / "card.json").read_text())["history"]) == epochs


def test_a_base_is_not_written_among_the_records(tmp_path: Path) -> None:
    tiny_clusters().save(tmp_path / "clusters.npz")
    data = write_dataset(tmp_path / "data")
    result = called("pretrain", data, "--clusters", tmp_path / "clusters.npz", "--out", data)
    assert isinstance(result.exception, UnusableInput)


def test_clusters_of_another_number_are_refused_before_any_work(tmp_path: Path) -> None:
    wrong = tiny_clusters().centroids
    arrays = dict(zip(("P", "QRS", "T", "BG"), (wrong[0][:5], *wrong[1:]), strict=True))
    np.savez(tmp_path / "clusters.npz", **arrays)
    result = called(
        "pretrain", tmp_path, "--clusters", tmp_path / "clusters.npz", "--out", tmp_path / "out"
    )
    assert isinstance(result.exception, MalformedInput)
    assert "P has the shape (5, 10), expected (12, 10)" in result.exception.detail


def test_a_folder_of_records_becomes_a_model_that_predicts(tmp_path: Path) -> None:
    data, out = write_dataset(tmp_path / "data"), tmp_path / "out"
    result = called("finetune", data, "--out", out, "--epochs", 1, "--window", 64, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "1 records validate, 24 beats" in result.output
    model = out / "Heartbeat_Classification" / "results" / "model"
    predicted = CliRunner().invoke(app, ["predict", str(data / "a1.hea"), "--model", str(model)])
    assert predicted.exit_code == 0, predicted.output
    assert "beats             24" in predicted.output


def test_the_function_of_the_guide_takes_its_arguments_and_ours(tmp_path: Path) -> None:
    figures = run_finetuning(
        mitdb_path=str(write_dataset(tmp_path / "data")),
        pretrained_model_path=None,
        clustering_dir=None,
        output_dir=tmp_path / "out",
        binary_classification=True,
        task_name="Two",
        hyperparameters={"epochs": 1, "attention_window": 64},
        jobs=1,
        validation=("a1",),
    )
    assert figures["classes"] == ["normal", "abnormal"]
    with pytest.raises(UnusableInput, match="no setting test_share"):
        run_finetuning(mitdb_path=tmp_path, test_share=0.2)
    with pytest.raises(UnusableInput, match="expected default or reference"):
        run_finetuning(mitdb_path=tmp_path, mode="right")
