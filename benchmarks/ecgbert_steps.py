"""How long steps 1 to 3 and the clusters take for a folder of records, in one process.

python -m benchmarks.ecgbert_steps --mitdb FOLDER [--clusters FOLDER] [--modes default reference]

Prints wall and processor time of each step: on a busy machine only the latter says something.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from services.models.ecgbert.clusters import DISTANCES
from services.models.ecgbert.pretraining.cluster_fitting import clusters_of_records
from services.models.ecgbert.public.cluster_files import clusters_at
from services.models.ecgbert.stages.preprocessing import preprocess
from services.models.ecgbert.stages.segmentation import segment
from services.models.ecgbert.stages.sentences import write_sentences
from services.models.ecgbert.stages.settings import Mode, StageRun, StageSettings, TaskFolder
from services.models.ecgbert.stages.survey import SurveyedRecord, surveyed
from services.training.progress import NoProgress

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mitdb", type=Path, required=True)
    parser.add_argument("--clusters", type=Path)
    parser.add_argument("--modes", nargs="*", default=[Mode.DEFAULT.value])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = _run(Mode.DEFAULT, Path(folder))
        records = timed("survey", lambda: surveyed(arguments.mitdb, run))
        print(f"{len(records)} records")
        for name in arguments.modes:
            _steps(_run(Mode(name), Path(folder)), records, arguments.clusters)
        for distance in DISTANCES:

            def fit(distance: str = distance) -> tuple[object, tuple[int, ...]]:
                return clusters_of_records(records, run, distance=distance)  # type: ignore[arg-type]

            _, counts = timed(f"clusters, {distance}", fit)
            print(f"  of {sum(counts)} waves")
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def timed(name: str, work: Callable[[], T]) -> T:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{name:<32}{wall:8.1f} s wall {processor:8.1f} s processor", flush=True)
    return result


def _steps(run: StageRun, records: Sequence[SurveyedRecord], clusters: Path | None) -> None:
    name = run.settings.mode.value
    centers = None if clusters is None else clusters_at(clusters)
    prepared = timed(f"{name}: preprocessing", lambda: preprocess(records, run))
    timed(f"{name}: segmentation", lambda: segment(prepared, run))
    timed(
        f"{name}: sentences" + (", clusters fitted" if centers is None else ""),
        lambda: write_sentences(prepared, run, clusters=centers, granularity="wave"),
    )


def _run(mode: Mode, folder: Path) -> StageRun:
    return StageRun(
        jobs=1,
        progress=NoProgress(),
        settings=StageSettings(mode=mode),
        task=TaskFolder.under(folder, mode.value),
    )


if __name__ == "__main__":
    main()
