"""Nonsense in every field, and damaged files of every format: no 5xx, no hang, no growth.

    make fuzz CASES=20000

The first half comes from schemathesis, which makes requests from the OpenAPI document and holds the
answers against it; it asks about resources that are there, and about ids that it makes up. The
other half are real files of each accepted format (of the tests, and of ../shared/data/formats
where that is) with bits turned, bytes cut, repeated and made noise, sent as uploads.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from reliability.growth import growth, watched
from reliability.service import Trial
from tests import ecg_files
from tests.labelled import beats_record
from tests.services.ecg.readers.test_mutations import MUTATIONS, RECORDS

ROOT = Path(__file__).resolve().parents[1]
FORMATS = ROOT.parent / "shared" / "data" / "formats"
EXPECTED = {200, 201, 400, 413, 415, 422}
LONGEST_S = 20.0
# what a first request loads, a part keeps: readers of its format, models. And memory is level only
# once every reader has had files of every size beside those of the others.
WARM_UP_CASES, WARM_UP_EXAMPLES = 10_000, 5
LONG_S = 1800.0
ALL_PHASES = "examples,coverage,fuzzing"
AT_ONCE = 4
LARGEST_FILE = 3_000_000
# A file of random bytes is no ECG and a made up cursor is none of ours, though a schema cannot say
# so: such requests may be refused with these. The check then still finds answers beside them.
REFUSALS = ["2xx", "3xx", "400", "401", "403", "404", "409", "413", "415", "422", "429", "503"]

Files = Mapping[str, bytes]


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        try:
            examples = arguments.examples
            print(f"to be damaged: {told_of(originals())}")
            print("warm-up:")
            print_memory(trial.memory_mb())
            problems = warmed_up(trial, Path(folder), examples=examples, cases=arguments.cases)
            print("after it:")
            with watched(trial) as memory:
                problems += fuzz_api(trial, Path(folder), examples=examples)
                problems += fuzz_formats(trial, cases=arguments.cases, seed=arguments.seed)
            problems += growth(memory)
            problems += [line for line in trial.logs().splitlines() if "Traceback" in line]
        finally:
            trial.stop()
    for problem in problems:
        print(problem)
    print("nothing found" if not problems else f"{len(problems)} problems")
    sys.exit(bool(problems))


def print_memory(used: Mapping[str, float]) -> None:
    print("memory at the start, MB:", ", ".join(f"{part} {mb:.0f}" for part, mb in used.items()))


def warmed_up(trial: Trial, folder: Path, *, examples: int, cases: int) -> list[str]:
    """Something of all that is to come, of a seed of its own; after it nothing may grow."""
    with trial.client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
        long = _sent(client, beats_record("long", 2, duration_s=LONG_S)).json()["id"]
        list(pool.map(lambda _: _predicted(client, long), range(2 * AT_ONCE)))
    few = min(examples, WARM_UP_EXAMPLES)
    problems = fuzz_api(trial, folder, examples=few, phases="fuzzing")
    return problems + fuzz_formats(trial, cases=min(WARM_UP_CASES, cases), seed=0)


def fuzz_api(trial: Trial, folder: Path, *, examples: int, phases: str = ALL_PHASES) -> list[str]:
    """Twice over every operation: about made up ids, and about resources that are there.

    examples: how many of each operation; 0: nothing is asked.
    """
    problems = []
    for known in (False, True) if examples else ():
        parameters = resources(trial) if known else {}
        lines = ["[checks.positive_data_acceptance]", f"expected-statuses = {json.dumps(REFUSALS)}"]
        # without the weights of a model, its task answers 503 and says where to get them
        lines += ["[checks.not_a_server_error]", 'expected-statuses = ["2xx", "3xx", "4xx", "503"]']
        lines += ["[parameters]", *(f'"path.{k}" = {json.dumps(v)}' for k, v in parameters.items())]
        (folder / "schemathesis.toml").write_text("\n".join(lines))
        command = [str(Path(sys.executable).parent / "schemathesis")]
        command += ["--config-file", str(folder / "schemathesis.toml")]
        command += ["run", f"{trial.url}/openapi.json", "--checks", "all", "--seed", "1"]
        command += ["--max-examples", str(examples), "--phases", phases]
        command += ["--continue-on-failure", "--request-timeout", "70", "--warnings", "off"]
        command += ["--header", f"Authorization: Bearer {trial.key}"]
        if known:  # removed things are not there for the other operations
            command += ["--exclude-method", "DELETE"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        counted = re.search(r"(\d+) generated", done.stdout)
        print(
            f"schemathesis, {'known' if known else 'made up'} ids: {counted and counted[1]} cases"
        )
        if done.returncode or counted is None:
            problems.append(done.stdout[-20_000:] + done.stderr[-2000:])
    return problems


def resources(trial: Trial) -> dict[str, Any]:
    """One of each kind, by the name of the parameter."""
    with trial.client() as client:
        record = _sent(client, beats_record("fuzz", 1)).json()["id"]
        prediction = _predicted(client, record)
        dataset = {"name": "fuzz", "task": "beats", "record_ids": [record]}
        made = client.post("/v1/datasets", json=dataset).json()["id"]
    return {
        "record_id": record,
        "prediction_id": prediction,
        "dataset_id": made,
        "name": "ecgbert-beats",
        "number": 1,
    }


def fuzz_formats(trial: Trial, *, cases: int, seed: int) -> list[str]:
    """Mutated files as uploads, a few at once."""
    statuses: Counter[int] = Counter()
    slowest, problems = 0.0, []
    with trial.client(LONGEST_S * 2) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        work = mutated(originals(), cases=cases, seed=seed)
        for what, status, took_s in pool.map(lambda one: _outcome(client, *one), work):
            statuses[status] += 1
            slowest = max(slowest, took_s)
            if status not in EXPECTED or took_s > LONGEST_S:
                problems.append(f"{what}: {status or 'no answer'} after {took_s:.1f} s")
    print(f"{cases} damaged files: {dict(statuses.most_common())}, slowest {slowest:.2f} s")
    return problems


def originals() -> dict[str, Files]:
    """Files of each format, by a name for the report."""
    found: dict[str, Files] = {name: make() for name, make in RECORDS.items()}
    makers: dict[str, Callable[[], bytes]] = {
        "a.edf": ecg_files.edf,
        "a.ecg": ecg_files.ishne,
        "muse.xml": ecg_files.muse,
        "aecg.xml": ecg_files.aecg,
        "sierra.xml": ecg_files.sierra,
        "cardiosoft.xml": ecg_files.cardiosoft,
        "a.scp": ecg_files.scp,
        "a.dcm": ecg_files.dicom,
        "a.csv": ecg_files.csv,
        "leads.json": ecg_files.json_leads,
        "fhir.json": ecg_files.fhir,
        "watch.csv": ecg_files.apple_watch,
        "a.mat": ecg_files.matlab,
    }
    found |= {name: {name: make()} for name, make in makers.items()}
    for folder in sorted({path.parent for path in FORMATS.rglob("*") if path.is_file()}):
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        together = folder.name.startswith(("wfdb", "fixed", "variable"))
        for group in [files] if together else [[path] for path in files]:
            if sum(path.stat().st_size for path in group) <= LARGEST_FILE and folder != FORMATS:
                name = f"{folder.name}/{group[0].name}"
                found[name] = {path.name: path.read_bytes() for path in group}
    return found


def told_of(good: Mapping[str, Files]) -> str:
    """How many there are, and whether files of real devices are among them."""
    real = sum("/" in name for name in good)
    beside = f"{real} from {FORMATS}" if real else f"none of real devices: there is no {FORMATS}"
    return f"{len(good)} records, {beside}"


def mutated(good: Mapping[str, Files], *, cases: int, seed: int) -> Iterator[tuple[str, Files]]:
    """Each case says what was done to what, so that it can be made again."""
    names = sorted(good)
    for case in range(cases):
        dice = random.Random(f"{seed}/{case}")
        name = names[case % len(names)]
        files = dict(good[name])
        victim = dice.choice(sorted(files))
        data = bytearray(files[victim])
        kinds = [dice.choice(MUTATIONS) for _ in range(dice.randint(1, 3))]
        for mutate in kinds:
            if data:
                mutate(data, dice)
        files[victim] = bytes(data)
        yield f"{name} {seed}/{case} {'+'.join(kind.__name__ for kind in kinds)}", files


def _outcome(client: httpx.Client, what: str, files: Files) -> tuple[str, int, float]:
    started = time.perf_counter()
    try:
        status = _sent(client, files).status_code
    except httpx.HTTPError:
        status = 0
    return what, status, time.perf_counter() - started


def _predicted(client: httpx.Client, record_id: str) -> str:
    asked = {"record_id": record_id, "task": "beats"}
    wait = {"Prefer": "wait=60"}
    made: str = client.post("/v1/predictions", json=asked, headers=wait).json()["id"]
    return made


def _sent(client: httpx.Client, files: Files) -> httpx.Response:
    return client.post("/v1/records", files=[("file", item) for item in files.items()])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=15_000, help="damaged files")
    parser.add_argument(
        "--examples", type=int, default=50, help="of each operation; 0: files alone"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
