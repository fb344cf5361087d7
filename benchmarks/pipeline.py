"""Where the time of a beat prediction goes, stage by stage, without any server.

python -m benchmarks.pipeline [--record 100.hea] [--minutes 30] [--runs 7]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.records import wfdb_files
from ectopy.commands.models import model_folder
from ectopy.commands.predict import DEFAULT_MODEL
from services.ecg import filtering
from services.ecg.readers.files import record_from_path
from services.models.ecgbert import inference, preparation
from services.models.ecgbert.family import FAMILY
from services.models.ecgbert.leads import poor_stretches, readable_leads
from services.models.ecgbert.model_folder import read_model_folder
from services.training.progress import NoProgress

QUIET = NoProgress()


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.record or _made_record(Path(folder), arguments.minutes)
        record = record_from_path(path)
        stages = _stages(path, record)
        times: dict[str, list[float]] = {name: [] for name in stages}
        for _ in range(arguments.runs + 1):
            for name, stage in stages.items():
                started = time.perf_counter()
                stage()
                times[name].append(time.perf_counter() - started)
    print(
        f"{record.name}: {record.n_leads} leads, {record.duration_s / 60:.1f} min, "
        f"torch threads {torch.get_num_threads()}, median of {arguments.runs} runs"
    )
    for name, found in times.items():
        print(f"  {name:<34}{1000 * float(np.median(found[1:])):8.1f} ms")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {'peak memory of this process':<34}{peak_mb:8.0f} MB")


def _stages(path: Path, record: Any) -> dict[str, Callable[[], Any]]:
    folder = model_folder(DEFAULT_MODEL)
    network, clusters, labels = read_model_folder(folder)
    predictor = inference.BeatPredictor(network, clusters, labels, device="cpu")
    whole = FAMILY.load(folder, device="cpu")
    leads = readable_leads(record)
    peaks = preparation.detected_peaks(record, leads, method="ectopy")
    shapes = preparation.beat_shapes(record, leads, peaks, progress=QUIET)
    rate_hz = record.sampling_rate_hz

    def inputs() -> Any:
        return preparation.from_shapes(
            shapes, rhythm_source=peaks, sampling_rate_hz=rate_hz, clusters=clusters
        )

    ready = inputs()
    return {
        "read and decode": lambda: record_from_path(path),
        "which leads are readable": lambda: readable_leads(record),
        "R peaks, both leads": lambda: preparation.detected_peaks(record, leads, method="ectopy"),
        "denoise (part of the next)": lambda: filtering.denoised(
            record.signal, sampling_rate_hz=rate_hz
        ),
        "denoise, resample, cut waves": lambda: preparation.beat_shapes(
            record, leads, peaks, progress=QUIET
        ),
        "ordinary beat, tokens, rhythm": inputs,
        "signal quality": lambda: poor_stretches(record, leads, peaks),
        "network": lambda: predictor.probabilities(ready, progress=QUIET),
        "predict, all of it": lambda: whole.predict(record, options={}, progress=QUIET),
    }


def _made_record(folder: Path, minutes: float) -> Path:
    for name, content in wfdb_files(minutes).items():
        (folder / name).write_bytes(content)
    return folder / "bench0.hea"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, help="a .hea file; made from the sample by default")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
