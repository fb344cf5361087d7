"""Training on sentences: it learns, what is frozen stays, and a killed run ends as if never so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from services.ecg.labels import AAMI_CLASSES
from services.errors import Cancelled, UnusableInput
from services.models.ecgbert import spec
from services.models.ecgbert.guide import attention, chunks
from services.models.ecgbert.guide.answers import beat_labels, beat_probabilities, beat_scores
from services.models.ecgbert.guide.network import EMBEDDING, GuideClassifier
from services.models.ecgbert.guide.sentences import NO_LABEL, RecordSentences
from services.models.ecgbert.guide.training import (
    _groups,
    epoch_order,
    new_network,
    recipe,
    trained_classifier,
)
from services.training.progress import NoProgress
from tests.services.models.ecgbert.guide.made_sentences import QUICK, made_record

QUIET = NoProgress()
PROCESSES = get_context("forkserver")


class CancelledOnce(NoProgress):
    """Asks to stop at the so-manieth question."""

    def __init__(self, after: int) -> None:
        self.left = after

    def check_cancelled(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled("asked to")


def fitted(
    given: dict[str, Any], workspace: Path, progress: NoProgress = QUIET
) -> tuple[GuideClassifier, list[dict[str, Any]]]:
    chosen = recipe(given)
    train = [made_record(f"t{i}", seed=i, granularity=chosen.granularity) for i in range(4)]
    validation = [made_record("v", seed=9, granularity=chosen.granularity)]
    network = new_network(chosen, seed=5, base=None)
    outcome = trained_classifier(
        network, train, validation, chosen,
        seed=5, workspace=workspace, device="cpu", progress=progress,
    )  # fmt: skip
    return network, outcome.history


def test_it_learns_what_the_beats_show(tmp_path: Path) -> None:
    network, history = fitted({**QUICK, "epochs": 12}, tmp_path)
    assert max(entry["metrics"]["macro_f1"] for entry in history) > 0.95
    record = made_record("new", seed=77)
    found = beat_probabilities(network, record, progress=QUIET)
    assert found.shape == (60, 5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert beat_scores([found], [beat_labels(record)], AAMI_CLASSES)["accuracy"] > 0.9


def test_scores_are_told_class_by_class_for_those_that_occur() -> None:
    answers = np.eye(5, dtype=np.float32)[[0, 0, 2, 2, 0]]
    found = beat_scores([answers], [np.array([0, 2, 2, 0, NO_LABEL])], AAMI_CLASSES)
    assert found == {"accuracy": 0.5, "macro_f1": 0.5, "f1_N": 0.5, "f1_V": 0.5}


def test_one_token_a_sample_trains_by_the_same_code(tmp_path: Path) -> None:
    given = {**QUICK, "granularity": "sample", "epochs": 1, "batch": 4}
    network, history = fitted(given, tmp_path)
    assert network.config.granularity == "sample"
    assert len(history) == 1


def test_by_default_the_embedding_stays_as_it_was_and_is_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    embedding_of = chunks.embedding_of

    def counted(*arguments: Any) -> Any:
        calls.append(1)
        return embedding_of(*arguments)

    monkeypatch.setattr(chunks, "embedding_of", counted)
    given = {"attention_window": 32, "epochs": 3}
    before = new_network(recipe(given), seed=5, base=None).state_dict()
    network, _ = fitted(given, tmp_path)
    assert len(calls) == 1  # four chunks together, three epochs
    after = network.state_dict()
    for name in before:
        stays = name.startswith(EMBEDDING)
        assert torch.equal(before[name], after[name]) == stays, name


def test_an_embedding_too_large_for_the_disk_is_computed_when_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"attention_window": 32, "epochs": 1}
    _, kept = fitted(given, tmp_path / "kept")
    monkeypatch.setattr(chunks, "LARGEST_CACHE_BYTES", 1000)
    _, computed = fitted(given, tmp_path / "computed")
    assert not (tmp_path / "computed" / "embedded.npy").exists()
    assert computed[0]["loss"] == pytest.approx(kept[0]["loss"], rel=1e-4)


@pytest.mark.parametrize("embedding", [False, True])
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path: Path, embedding: bool) -> None:
    given = {**QUICK, "epochs": 3, "train_embedding": embedding}
    whole, history = fitted(given, tmp_path / "whole")
    with pytest.raises(Cancelled):
        fitted(given, tmp_path / "stopped", CancelledOnce(after=7))
    stopped, again = fitted(given, tmp_path / "stopped")
    assert [entry["loss"] for entry in history] == [entry["loss"] for entry in again]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, stopped.state_dict()[name]), name


def test_micro_batches_leave_the_result_as_it_is(tmp_path: Path) -> None:
    given = {**QUICK, "epochs": 2, "batch": 4}
    given["train_embedding"] = False  # the U-Net's norms see a micro-batch
    with _without_dropout():
        whole, _ = fitted(given, tmp_path / "whole")
        parted, _ = fitted({**given, "accumulation": 3}, tmp_path / "parted")
    for name, tensor in whole.state_dict().items():
        if name.endswith("in_proj_bias"):  # that of the keys has no gradient but for rounding
            continue
        assert torch.allclose(tensor, parted.state_dict()[name], atol=1e-4), name


@pytest.mark.parametrize("embedding", [False, True])
def test_threads_that_prepare_batches_change_no_bit(tmp_path: Path, embedding: bool) -> None:
    given = {**QUICK, "epochs": 2, "train_embedding": embedding}
    one, _ = fitted({**given, "loaders": 0}, tmp_path / "one")
    other, _ = fitted({**given, "loaders": 3}, tmp_path / "other")
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_a_layer_learns_at_a_share_of_the_next_one_s_rate() -> None:
    chosen = recipe({"layer_decay": 0.5, "learning_rate": 0.08, "train_embedding": True})
    network = new_network(chosen, seed=0, base=None)
    rate = {id(p): group["lr"] for group in _groups(network, chosen) for p in group["params"]}
    found = {name: rate[id(parameter)] for name, parameter in network.named_parameters()}
    assert found["head.1.weight"] == 0.08
    assert found["transformer.layers.3.linear1.weight"] == 0.04
    assert found["transformer.layers.0.norm1.bias"] == 0.005
    embedding = {found[name] for name in found if name.startswith(EMBEDDING)}
    assert embedding == {0.0025}


def test_layers_stand_still_for_as_long_as_asked(tmp_path: Path) -> None:
    given = {**QUICK, "epochs": 1, "freeze_layers": 2}
    before = new_network(recipe(given), seed=5, base=None).state_dict()
    held, _ = fitted(given, tmp_path / "held")
    for name, tensor in held.state_dict().items():
        layer = name.removeprefix("transformer.layers.")[:1]
        stands = name.startswith(EMBEDDING) or layer in ("0", "1")
        assert torch.equal(before[name], tensor) == stands, name
    thawed, _ = fitted({**given, "freeze_updates": 2}, tmp_path / "thawed")
    name = "transformer.layers.0.linear1.weight"
    assert not torch.equal(before[name], thawed.state_dict()[name])


def test_validation_goes_on_in_smaller_batches_where_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = 2
    labelled = GuideClassifier.labelled

    def hungry(self: GuideClassifier, embedded: torch.Tensor, lengths: torch.Tensor) -> Any:
        if not self.training and len(lengths) > fits:
            raise torch.OutOfMemoryError("simulated")
        return labelled(self, embedded, lengths)

    chosen, told = recipe({**QUICK, "epochs": 1}), Told()
    train = [made_record(f"t{i}", seed=i) for i in range(2)]
    long = [made_record("v", seed=9, n_beats=3600)]  # of several chunks
    figures = []
    for number in range(2):
        network = new_network(chosen, seed=5, base=None)
        outcome = trained_classifier(
            network, train, long, chosen,
            seed=5, workspace=tmp_path / str(number), device="cpu", progress=told,
        )  # fmt: skip
        figures.append(outcome.history[0]["metrics"])
        monkeypatch.setattr(GuideClassifier, "labelled", hungry)
    assert figures[0] == figures[1]
    assert [message.split()[-5] for message in told.messages] == ["8", "4", "2"]


class Told(NoProgress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.messages += [data["message"]] if kind == "log" else []


@contextmanager
def _without_dropout() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spec, "DROPOUT", 0.0)
        yield


@pytest.mark.parametrize("embedding", [False, True])
def test_two_processes_train_together(tmp_path: Path, embedding: bool) -> None:
    processes = [
        PROCESSES.Process(target=_one_of_two, args=(rank, str(tmp_path), embedding))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    one, other = (
        torch.load(tmp_path / f"weights-{rank}.pt", weights_only=True) for rank in range(2)
    )
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def _one_of_two(rank: int, folder: str, embedding: bool) -> None:
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    given = {**QUICK, "epochs": 2, "batch": 2, "train_embedding": embedding}
    network, _ = fitted(given, Path(folder) / "run")
    weights = {n: t for n, t in network.state_dict().items() if "running" not in n}
    torch.save(weights, f"{folder}/weights-{rank}.pt")
    dist.destroy_process_group()


def test_binary_models_have_one_output_and_two_answers(tmp_path: Path) -> None:
    chosen = recipe({"classes": "binary", "attention_window": 32, "epochs": 1})
    made = made_record("a", seed=1)
    lead = made.leads[0]
    label = np.where(np.asarray(lead.label) == 2, 1, lead.label)
    binary = RecordSentences(
        "a", "a", "wave", ("II",), (type(lead)(**{**vars(lead), "label": label}),), made.peaks
    )
    network = new_network(chosen, seed=0, base=None)
    trained_classifier(
        network, [binary], [], chosen,
        seed=0, workspace=tmp_path, device="cpu", progress=QUIET,
    )  # fmt: skip
    assert network.config.n_outputs == 1
    assert beat_probabilities(network, binary, progress=QUIET).shape == (60, 2)


def test_records_of_one_class_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    made = made_record("a", seed=1)
    lead = made.leads[0]
    normal = np.where(np.asarray(lead.label) == 2, NO_LABEL, lead.label)
    alone = RecordSentences(
        "a", "a", "wave", ("II",), (type(lead)(**{**vars(lead), "label": normal}),), made.peaks
    )
    chosen = recipe({})
    with pytest.raises(UnusableInput, match=r"beats of N; at least two of N, S, V, F, Q"):
        trained_classifier(
            new_network(chosen, seed=0, base=None), [alone], [], chosen,
            seed=0, workspace=tmp_path / "run", device="cpu", progress=QUIET,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("with_kernel", [True, False])
def test_half_precision_trains_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_kernel: bool
) -> None:
    if not with_kernel:
        monkeypatch.setattr(attention, "kernel", lambda: None)
    network, history = fitted({**QUICK, "epochs": 2, "precision": "bf16"}, tmp_path)
    assert history[1]["loss"] < history[0]["loss"]
    assert network.head[0].weight.dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["off", "bf16"])
def test_a_gpu_trains_what_the_processor_answers_with(tmp_path: Path, precision: str) -> None:
    chosen = recipe({**QUICK, "epochs": 12, "precision": precision})
    network = new_network(chosen, seed=5, base=None)
    train = [made_record(f"t{i}", seed=i) for i in range(4)]
    trained_classifier(
        network, train, [], chosen,
        seed=5, workspace=tmp_path, device="cuda", progress=QUIET,
    )  # fmt: skip
    record = made_record("new", seed=77)
    there = beat_probabilities(network, record, progress=QUIET)
    here = beat_probabilities(network.cpu(), record, progress=QUIET)
    np.testing.assert_allclose(there, here, atol=2e-3)
    assert beat_scores([here], [beat_labels(record)], AAMI_CLASSES)["accuracy"] > 0.9


def test_a_hyperparameter_out_of_range_is_named() -> None:
    with pytest.raises(UnusableInput, match="attention_window must be a whole number from 8"):
        recipe({"attention_window": 4})


def test_a_beat_without_tokens_gets_an_answer_all_the_same() -> None:
    chosen = recipe({"attention_window": 32})
    made = made_record("a", seed=1)
    more = RecordSentences("a", "a", "wave", ("II",), made.leads, np.append(made.peaks, 99_999))
    found = beat_probabilities(new_network(chosen, seed=0, base=None), more, progress=QUIET)
    np.testing.assert_allclose(found[-1], 0.2, atol=1e-6)  # nothing speaks for any class


def test_a_record_without_beats_has_an_empty_answer() -> None:
    chosen = recipe({"attention_window": 32})
    silent = made_record("a", seed=1, n_beats=0)
    found = beat_probabilities(new_network(chosen, seed=0, base=None), silent, progress=QUIET)
    assert found.shape == (0, 5)


def test_an_epoch_may_go_through_a_share_of_the_chunks() -> None:
    rng = np.random.default_rng(0)
    chosen = recipe({"chunk_share": 0.25})
    first, second = (epoch_order(rng, 40, chosen) for _ in range(2))
    assert len(set(first.tolist())) == len(first) == 10
    assert first.tolist() != second.tolist()
    in_time = epoch_order(rng, 40, recipe({"chunk_share": 0.25, "shuffle": False}))
    assert in_time.tolist() == sorted(in_time.tolist())
    assert epoch_order(rng, 3, recipe({"shuffle": False})).tolist() == [0, 1, 2]
