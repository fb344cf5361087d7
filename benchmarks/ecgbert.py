"""The guide's network as it runs here beside the guide's own loop written plainly, in turns.

python -m benchmarks.ecgbert --mitdb FOLDER [--record 100] [--rounds 5] [--epoch]

Both sides do the same work on the same record in one process, one after the other in each round, so
that a busy machine slows both; times are medians. A training step is one chunk of 3,600 tokens;
an epoch of the guide's 80 % (38 records) is that times the chunks they hold, and --epoch runs it;
with CUDA the guide's 13 epochs too. Peak memory is of a process of its own for each side.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ecgbert_plain import (
    PlainTraining,
    plain_logits,
    plain_peaks,
    plain_sentence,
    plain_signal,
)
from ectopy.commands.models import model_folder
from ectopy.commands.predict import DEFAULT_MODEL
from services.ecg.labels import AAMI_CLASSES
from services.ecg.readers.files import record_from_path
from services.models.ecgbert.clusters import Clusters
from services.models.ecgbert.guide import reading
from services.models.ecgbert.guide.answers import beat_probabilities
from services.models.ecgbert.guide.chunks import ChunkedSentences, frozen_chunks
from services.models.ecgbert.guide.inference import GuidePredictor
from services.models.ecgbert.guide.losses import TokenLoss
from services.models.ecgbert.guide.network import (
    EMBEDDING,
    FrozenEmbedding,
    GuideClassifier,
    GuideConfig,
)
from services.models.ecgbert.guide.preparation import clean_record, labelled_record
from services.models.ecgbert.guide.sentences import RecordSentences
from services.models.ecgbert.guide.training import new_network, recipe, trained_classifier
from services.models.ecgbert.leads import readable_leads
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.ecgbert.spec import CHUNK_TOKENS
from services.models.ecgbert.training_set import read_mitdb_record
from services.models.interface import LabelledRecord
from services.training.progress import NoProgress
from services.training.seeds import one_thread

QUIET = NoProgress()
SHORT = 64
TRAINING_SHARE = 0.8  # of the records, guide
Sides = dict[str, Callable[[], Any]]


def main() -> None:
    arguments = _arguments()
    if arguments.memory:
        _one_side(arguments)
        return
    record = read_mitdb_record(arguments.mitdb, arguments.record)
    print(
        f"record {record.name}: {record.n_leads} leads, {record.duration_s / 60:.1f} min; torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads; median of {arguments.rounds}"
    )
    _record_to_labels(arguments)
    _training(arguments)
    for side in ("plain", "exact", "short"):
        print(f"  {'peak memory, training step, ' + side:<44}{_peak_mb(arguments, side):8.0f} MB")
    if arguments.epoch:
        _epoch(arguments)


def _record_to_labels(arguments: argparse.Namespace) -> None:
    path = arguments.mitdb / f"{arguments.record}.hea"
    record = record_from_path(path)
    clusters = Clusters.load(model_folder(DEFAULT_MODEL) / "clusters.npz")
    leads = readable_leads(record)
    raw = record.signal.astype(np.float64)
    signal, clean = plain_signal(raw), clean_record(record, leads)
    peaks = plain_peaks(signal)
    sentences = clean.sentences(clusters, "wave")
    told = [plain_sentence(lead, own, clusters) for lead, own in zip(signal, peaks, strict=True)]
    published = GuideNetwork()
    networks = {w: GuideClassifier(GuideConfig(attention_window=w)) for w in (CHUNK_TOKENS, SHORT)}
    predictors = {
        window: GuidePredictor(network, clusters, AAMI_CLASSES, device="cpu")
        for window, network in networks.items()
    }

    def labelled(window: int) -> Any:
        with one_thread():
            return beat_probabilities(networks[window], sentences, progress=QUIET)

    def plain_whole() -> None:
        found = plain_signal(record_from_path(path).signal.astype(np.float64))
        for lead, own in zip(found, plain_peaks(found), strict=True):
            plain_logits(published, *plain_sentence(lead, own, clusters))

    def whole(window: int) -> Any:
        return predictors[window].predict(record_from_path(path), options={}, progress=QUIET)

    def sentence_of_all() -> Any:
        return clean.sentences(clusters, "wave")

    _compare(
        "denoise",
        {
            "plain": lambda: plain_signal(raw),
            "ours": lambda: reading.cleaned(record.signal, sampling_rate_hz=360.0),
        },
        arguments.rounds,
    )
    _compare(
        "R peaks, all leads (ours: waves too)",
        {
            "plain": lambda: plain_peaks(signal),
            "ours": lambda: reading.peaks_and_waves(clean.signal),
        },
        arguments.rounds,
    )
    _compare(
        "waves, means and tokens, all leads",
        {
            "plain": lambda: [
                plain_sentence(lead, own, clusters) for lead, own in zip(signal, peaks, strict=True)
            ],
            "ours": sentence_of_all,
        },
        arguments.rounds,
    )
    _compare(
        "network, all leads",
        {
            "plain": lambda: [plain_logits(published, *each) for each in told],
            "ours, 3600": lambda: labelled(CHUNK_TOKENS),
            "ours, 64": lambda: labelled(SHORT),
        },
        arguments.rounds,
    )
    _compare(
        "record to labels, reading included",
        {
            "plain": plain_whole,
            "ours, 3600": lambda: whole(CHUNK_TOKENS),
            "ours, 64": lambda: whole(SHORT),
        },
        arguments.rounds,
    )


def _training(arguments: argparse.Namespace) -> None:
    sentences = ChunkedSentences([_sentences(arguments.mitdb, arguments.record)])
    chunk = np.array([0])
    with tempfile.TemporaryDirectory() as folder:
        steps = _steps(sentences, chunk, Path(folder))
        times = _compare(
            f"training step, {int(sentences.lengths(chunk)[0])} tokens", steps, arguments.rounds
        )
        plain = PlainTraining(Path(folder))
        _compare(
            "saved and loaded, each sentence", {"plain": plain.save_and_load}, arguments.rounds
        )
    whole = float((sentences.lengths(np.arange(len(sentences))).double() ** 2).sum())
    n_tokens, chunk_tokens = sentences.n_tokens, float(sentences.lengths(chunk)[0])
    print(f"\none record's epoch, from that step ({len(sentences)} chunks, {n_tokens} tokens)")
    for name, taken in times.items():
        # attention grows with the square of a chunk's length, short windows with the tokens
        by_square = "64" not in name
        factor = whole / chunk_tokens**2 if by_square else n_tokens / chunk_tokens
        print(f"  {name:<44}{taken * factor:8.2f} s")


def _steps(sentences: ChunkedSentences, chunk: Any, folder: Path) -> Sides:
    tokens, means = sentences.tokens(chunk), sentences.signal(chunk)
    label = sentences.target(chunk)[0]
    plain = PlainTraining(folder)
    plain.loss.ignore_index = -100
    return {
        "plain": lambda: plain.step(tokens, means, label),
        "ours, 3600 (exact)": _own_step(sentences, chunk, CHUNK_TOKENS, folder),
        "ours, 64": _own_step(sentences, chunk, SHORT, folder),
    }


def _own_step(
    sentences: ChunkedSentences, chunk: Any, window: int, folder: Path
) -> Callable[[], None]:
    """What the engine does for one chunk: read the embedding, go forth and back, step."""
    network = GuideClassifier(GuideConfig(attention_window=window))
    data = frozen_chunks(network, sentences, folder / f"{window}.npy", progress=QUIET)
    module = FrozenEmbedding(network)
    learning = [p for name, p in network.named_parameters() if not name.startswith(EMBEDDING)]
    optimizer = torch.optim.Adam(learning, lr=0.001)
    loss, generator = TokenLoss(), torch.Generator()

    def step() -> None:
        with one_thread():
            module.train()
            inputs, target = data.batch(chunk, generator)
            value = loss(module(*inputs), target).mean()
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return step


def _epoch(arguments: argparse.Namespace) -> None:
    """An epoch over the guide's 80 % as it runs, through the engine; on a GPU all 13."""
    names = sorted(path.stem for path in arguments.mitdb.glob("*.hea"))
    chosen_names = names[: round(TRAINING_SHARE * len(names))]
    records = [_sentences(arguments.mitdb, name) for name in chosen_names]
    print(f"\nan epoch through the engine over {len(records)} records, two epochs run")
    for window in (CHUNK_TOKENS, SHORT):
        told = _fitted(records, {"attention_window": window, "epochs": 2}, "cpu")
        taken, of_processors = told.taken[-1]
        print(f"  attention over {window:<29}{taken:8.1f} s, {of_processors:.1f} s of processors")
    if torch.cuda.is_available():
        print(f"\nthe guide's epochs over these records, {torch.cuda.get_device_name()}")
        for precision in ("off", "bf16"):
            told = _fitted(records, {"precision": precision}, "cuda")
            taken = sum(each for each, _ in told.taken)
            print(f"  {len(told.taken)} epochs, precision {precision:<22}{taken:8.1f} s")


def _fitted(records: list[RecordSentences], given: dict[str, Any], device: str) -> _Epochs:
    """What a training run took, epoch by epoch; `given` instead of the guide's numbers."""
    chosen, told = recipe(given), _Epochs()
    with tempfile.TemporaryDirectory() as folder:
        trained_classifier(
            new_network(chosen, seed=0, base=None), records, [], chosen,
            seed=0, workspace=Path(folder), device=device, progress=told,
        )  # fmt: skip
    return told


class _Epochs(NoProgress):
    """Seconds of each epoch, by the clock and of all processors together."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, float]] = []
        self.last = (time.perf_counter(), time.process_time())

    def event(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "epoch":
            now = (time.perf_counter(), time.process_time())
            self.taken.append((now[0] - self.last[0], now[1] - self.last[1]))
            self.last = now


def _sentences(mitdb: Path, name: str) -> RecordSentences:
    clusters = Clusters.load(model_folder(DEFAULT_MODEL) / "clusters.npz")
    labelled = LabelledRecord(name, name, read_mitdb_record(mitdb, name))
    return labelled_record(labelled, AAMI_CLASSES).sentences(clusters, "wave")


def _compare(title: str, sides: Sides, rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):  # the first one warms up
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    print(f"\n{title}")
    medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    for name, median in medians.items():
        ratio = "" if name == "plain" else f"   {medians['plain'] / median:7.1f} times as fast"
        print(f"  {name:<44}{1000 * median:8.1f} ms{ratio}")
    return medians


def _peak_mb(arguments: argparse.Namespace, side: str) -> float:
    command = [sys.executable, "-m", "benchmarks.ecgbert", "--mitdb", str(arguments.mitdb)]
    command += ["--record", arguments.record, "--memory", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _one_side(arguments: argparse.Namespace) -> None:
    sentences = ChunkedSentences([_sentences(arguments.mitdb, arguments.record)])
    names = {"plain": "plain", "exact": "ours, 3600 (exact)", "short": "ours, 64"}
    with tempfile.TemporaryDirectory() as folder:
        step = _steps(sentences, np.array([0]), Path(folder))[names[arguments.memory]]
        step()
        step()
    # not getrusage, which begins with what the parent held when it started this process
    held = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert held is not None
    print(int(held[1]) / 1024)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--mitdb", type=Path, required=True)
    parser.add_argument("--record", default="100")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epoch", action="store_true")
    parser.add_argument("--memory", choices=("plain", "exact", "short"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
