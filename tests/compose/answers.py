"""Says whether what the service answered about the sample record is right; used by compose_test.sh.

python3 answers.py id PREDICTION.json              print its id
python3 answers.py beats PREDICTION.json           labels of the sample record, or exit 1
python3 answers.py csv PREDICTION.json BEATS.csv   the same beats, or exit 1
python3 answers.py listed PREDICTION.json RECORDS.json    its record is in the list
python3 answers.py same A.json B.json              the same prediction, or exit 1
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

LABELS = {"N", "S", "V", "F", "Q"}
# the sample: five minutes of record 208 at 360 Hz, about 100 beats a minute, a third of them
# ventricular
N_SAMPLES = 108_000
BEATS = range(400, 600)
FEWEST_VENTRICULAR = 50


def check(fact: bool, otherwise: str) -> None:
    """Ends with what is wrong."""
    if not fact:
        sys.exit(f"wrong answer: {otherwise}")


def read(path: str) -> dict[str, Any]:
    """A JSON object of a file; ends with the text where it is none."""
    text = Path(path).read_text()
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        sys.exit(f"wrong answer: not JSON: {text[:500]!r}")
    check(isinstance(found, dict), f"not a JSON object: {text[:500]}")
    return dict(found)


def identity(path: str) -> None:
    found = read(path)
    check("id" in found, f"no id in {found}")
    sys.stdout.write(str(found["id"]))


def beats(path: str) -> None:
    found = read(path)
    check(found.get("status") == "succeeded", f"not a finished prediction: {str(found)[:500]}")
    result = found["result"]
    labelled = result["beats"]
    samples = [beat["sample"] for beat in labelled]
    counts = Counter(beat["label"] for beat in labelled)
    check(len(labelled) in BEATS, f"{len(labelled)} beats")
    check(all(a < b for a, b in pairwise(samples)), "samples do not rise")
    check(samples[0] >= 0 and samples[-1] < N_SAMPLES, "beats outside of the record")
    check(set(counts) <= LABELS, f"labels {sorted(counts)}")
    check(counts["N"] > 0 and counts["V"] >= FEWEST_VENTRICULAR, f"labels {dict(counts)}")
    check(all(result["counts"].get(name, 0) == n for name, n in counts.items()), "counts differ")
    sums = [sum(beat["probabilities"].values()) for beat in labelled]
    check(all(abs(total - 1) < 0.01 for total in sums), "probabilities do not add up to 1")
    model = found["model"]
    shown = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
    print(f"{len(labelled)} beats ({shown}) by {model['name']}@{model['version']}")  # noqa: T201


def beats_csv(prediction: str, table: str) -> None:
    wanted = read(prediction)["result"]["beats"]
    with Path(table).open(newline="") as file:
        rows = list(csv.DictReader(file))
    check(bool(rows), "beats.csv has no rows")
    check(list(rows[0]) == ["sample", "time_s", "label", "probability"], f"columns {list(rows[0])}")
    got = [(int(row["sample"]), row["label"]) for row in rows]
    check(got == [(beat["sample"], beat["label"]) for beat in wanted], "beats.csv differs")


def listed(prediction: str, records: str) -> None:
    wanted = read(prediction)["record_id"]
    ids = [record["id"] for record in read(records)["data"]]
    check(wanted in ids, f"record {wanted} is not among {ids}")


def same(first: str, second: str) -> None:
    check(read(first) == read(second), "the prediction has changed")


COMMANDS: dict[str, Callable[..., None]] = {
    "id": identity,
    "beats": beats,
    "csv": beats_csv,
    "listed": listed,
    "same": same,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
