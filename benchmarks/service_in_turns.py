"""The service of this folder beside that of another clone, in turns: what a change is worth.

    python -m benchmarks.service_in_turns CLONE [--rounds 24]

On a machine whose speed drifts within minutes two runs of `benchmarks.service` say little of a
change. Here both services run at the same time, and each round asks both, the other one first each
time; so a service also rests while the other is asked. Each figure is the median, and the ratio is
the median of the rounds' own ratios. Both run with the packages of this environment.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.records import wfdb_files
from benchmarks.service import REST_S, Service, added_to_stored_record, upload_timed

WARM_UP = 5  # uploads to each that do not count

Round = dict[str, float]


class Side:
    """One of both services, and a prediction of it that is asked for again and again."""

    def __init__(self, service: Service, variants: count[int]) -> None:
        self._service, self._variants = service, variants
        for _ in range(WARM_UP):
            _, answer = service.predict(self._new_record())
        self._known = f"/v1/predictions/{answer['id']}"

    def round(self) -> Round:
        """Seconds of each thing that is asked."""
        rested_s = self._of_known_prediction()
        record_id = upload_timed(self._service, self._new_record())[1]
        added_to_stored_record(self._service, record_id)
        # the first of each came after the other service's turn
        upload, record_id = upload_timed(self._service, self._new_record())
        return {
            "upload to labels": upload.wall_s,
            "reading and decoding": upload.reading_s,
            "the predictor": upload.predictor_s,
            "the API adds": upload.added_s,
            "the API adds to a stored record": added_to_stored_record(self._service, record_id),
            "an answer after a rest": rested_s,
        }

    def _new_record(self) -> dict[str, bytes]:
        return wfdb_files(30, variant=next(self._variants))

    def _of_known_prediction(self) -> float:
        client = self._service.client
        self._service.timed(client.build_request("GET", self._known))
        time.sleep(REST_S)
        return self._service.timed(client.build_request("GET", self._known))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clone", type=Path, help="of other code, before a change for example")
    parser.add_argument("--rounds", type=int, default=24)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / side for side in ("other", "ours")]
        for folder in folders:
            folder.mkdir()
        services = [Service(folders[0], code=arguments.clone.resolve()), Service(folders[1])]
        try:
            _report(*_rounds(services, arguments.rounds))
        finally:
            for service in services:
                service.stop()


def _rounds(services: list[Service], n: int) -> tuple[list[Round], list[Round]]:
    variants = count()
    sides = [Side(service, variants) for service in services]
    found: tuple[list[Round], list[Round]] = ([], [])
    for number in range(n):
        for which in (0, 1) if number % 2 else (1, 0):
            found[which].append(sides[which].round())
    return found


def _report(other: list[Round], ours: list[Round]) -> None:
    print(f"30 min, two leads, {len(ours)} rounds        the other      ours     ratio")
    for name in ours[0]:
        pairs = [(before[name], after[name]) for before, after in zip(other, ours, strict=True)]
        before, after = (1000 * median(side) for side in zip(*pairs, strict=True))
        ratio = median(after / before for before, after in pairs)
        print(f"  {name:<36}{before:8.1f}  {after:8.1f} ms {ratio:7.2f}")


if __name__ == "__main__":
    main()
