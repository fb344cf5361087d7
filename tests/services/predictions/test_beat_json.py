"""The table of characters says the same as one object a beat would."""

from __future__ import annotations

import json

import numpy as np
import pytest

from services.models.results import BeatResult
from services.predictions.beat_json import beat_json


def result(sample: list[int], labels: tuple[str, ...], *, rate_hz: float = 360.0) -> BeatResult:
    probabilities = np.random.default_rng(len(sample)).dirichlet(
        np.full(len(labels), 0.2), len(sample)
    )
    return BeatResult(
        sampling_rate_hz=rate_hz,
        leads_used=("MLII",),
        labels=labels,
        sample=np.array(sample, np.int64),
        label_index=probabilities.argmax(axis=1),
        probabilities=probabilities.astype(np.float32),
        unreadable=np.arange(len(sample)) % 3 == 1,
    )


def as_objects(found: BeatResult) -> list[dict[str, object]]:
    """Beat by beat."""
    objects = []
    for i, sample in enumerate(found.sample.tolist()):
        row = [round(float(p), 6) for p in found.probabilities[i]]
        index = int(found.label_index[i])
        objects.append(
            {
                "sample": sample,
                "time_s": round(sample / found.sampling_rate_hz, 6),
                "label": found.labels[index],
                "probability": row[index],
                "probabilities": dict(zip(found.labels, row, strict=True)),
                "unreadable": bool(found.unreadable[i]),
            }
        )
    return objects


@pytest.mark.parametrize(
    "sample",
    [
        [0],
        [0, 9, 10, 99, 100, 999, 1000, 1001],
        [7, 12_345, 999_999, 1_000_000, 31_103_999],
        list(range(0, 100_000, 37)),
    ],
)
@pytest.mark.parametrize("labels", [("N", "S", "V", "F", "Q"), ("normal", "abnormal"), ('"\\ü',)])
def test_it_parses_to_one_object_a_beat(sample: list[int], labels: tuple[str, ...]) -> None:
    found = result(sample, labels)
    assert json.loads(beat_json(found)) == as_objects(found)


def test_a_certain_class_has_the_probability_one() -> None:
    found = result([5], ("N", "V"))
    found.probabilities[:] = (0.0, 1.0)
    assert json.loads(beat_json(found))[0]["probabilities"] == {"N": 0.0, "V": 1.0}


def test_no_beat_is_an_empty_list() -> None:
    assert beat_json(result([], ("N", "V"))) == b"[]"


def test_a_rate_that_is_no_whole_number() -> None:
    found = result([1, 1000, 333_333], ("N",), rate_hz=128.5)
    assert [beat["time_s"] for beat in json.loads(beat_json(found))] == [
        round(sample / 128.5, 6) for sample in (1, 1000, 333_333)
    ]
