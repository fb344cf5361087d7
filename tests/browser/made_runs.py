"""A fine-tune as the service tells of one, with reports that the evaluation itself made."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from services.evaluation.beat_report import BeatsTested, beat_report
from services.evaluation.report_parts import BASE, NEW, PROMOTED, Compared
from services.evaluation.risk_report import RiskTested, risk_report

RUN_ID = "ft_01kb2v3f7m2k9d4q8t6x0z1c5e"
MODELS = (
    Compared(NEW, "ward-3-beats@2"),
    Compared(BASE, "ecgbert-beats@1"),
    Compared(PROMOTED, "ward-3-beats@1"),
)


def epoch(number: int, *, epochs: int = 6) -> dict[str, Any]:
    falling = 0.9 * 0.7**number
    return {
        "epoch": number,
        "loss": falling,
        "metrics": {
            "validation_loss": falling + 0.05 + 0.01 * number,
            "accuracy": 0.97 - 0.2 * 0.6**number,
            "macro_f1": 0.85 - 0.4 * 0.7**number,
            "f1_N": 0.98 - 0.1 * 0.6**number,
            "f1_S": 0.7 - 0.5 * 0.75**number,
            "f1_V": 0.92 - 0.3 * 0.7**number,
        },
        "epochs": epochs,
        "learning_rate": 0.001,
        "eta_s": 40.0 * (epochs - number),
    }


def run(status: str, done: int, *, task: str = "beats", epochs: int = 6) -> dict[str, Any]:
    history = [epoch(n, epochs=epochs) for n in range(1, done + 1)]
    succeeded = status == "succeeded"
    return {
        "id": RUN_ID,
        "name": "ward-3-beats",
        "task": task,
        "status": status,
        "progress": 1.0 if succeeded else 0.9 * done / epochs,
        "dataset_id": "ds_01kb2v3f7m2k9d4q8t6x0z1c5e",
        "dataset_sha256": "0f" * 32,
        "base": {"name": "ecgbert-beats", "version": 1},
        "head": "keep",
        "hyperparameters": {"epochs": epochs, "learning_rate": 0.001, "seed": 0},
        "split": {
            "train": {"patients": 30, "records": 31},
            "validation": {"patients": 7, "records": 7},
            "test": {"patients": 12, "records": 12},
        },
        "epoch": done,
        "epochs": epochs,
        "metrics": {"loss": history[-1]["loss"], **history[-1]["metrics"]} if history else {},
        "history": history,
        "eta_s": None if succeeded else 40.0 * (epochs - done),
        "result_model": {"name": "ward-3-beats", "version": 2} if succeeded else None,
        "error": None,
        "created_at": "2026-03-01T09:30:00Z",
        "started_at": "2026-03-01T09:30:01Z",
        "finished_at": "2026-03-01T09:40:00Z" if succeeded else None,
    }


def events(found: dict[str, Any]) -> str:
    """Server-Sent Events of all that has happened to a run."""
    told: list[tuple[str, dict[str, Any]]] = [("status", {"status": "queued"})]
    told.append(("status", {"status": "running"}))
    for entry in found["history"]:
        told.append(("checkpoint", {"kind": "best", "update": 10, **entry}))
        told.append(("epoch", entry))
    if found["finished_at"]:
        told.append(("log", {"message": "testing on patients that training has not seen"}))
        told.append(("status", {"status": found["status"]}))
    at = "2026-03-01T09:31:00Z"
    return "".join(
        f"id: {i}\r\nevent: {kind}\r\ndata: {json.dumps({**data, 'at': at})}\r\n\r\n"
        for i, (kind, data) in enumerate(told, start=1)
    )


def beats_tested(*, n_records: int = 12, seed: int = 0) -> list[BeatsTested]:
    """Confusion matrices of a new model that errs less than its base."""
    rng = np.random.default_rng(seed)
    sizes = np.array([1500, 60, 130, 8, 3])
    tested = []
    for n in range(n_records):
        matrices = []
        for wrong in (0.03, 0.09, 0.05):
            matrix = np.zeros((6, 6), np.int64)
            for row, size in enumerate(rng.poisson(sizes)):
                share = np.full(6, wrong / 5)
                share[row] = 1 - wrong
                matrix[row] = rng.multinomial(size, share / share.sum())
            matrix[5, :5] = rng.poisson(2, 5)
            matrices.append(matrix)
        tested.append(BeatsTested(f"rec_{n:026d}", f"10{n}", f"p{n}", tuple(matrices)))
    return tested


def beats_report() -> dict[str, Any]:
    return beat_report(MODELS, beats_tested(), draws=200)


def risks_report(*, n_records: int = 300, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    risk = rng.beta(1.5, 6, n_records)
    label = (rng.random(n_records) < risk).astype(int)
    noisy = np.clip(risk[:, None] + rng.normal(0, (0.03, 0.2), (n_records, 2)), 0.001, 0.999)
    tested = [
        RiskTested(f"rec_{n:026d}", f"r{n}", f"p{n}", int(label[n]), tuple(noisy[n].tolist()))
        for n in range(n_records)
    ]
    return risk_report(MODELS[:2], tested, thresholds=[0.231, 0.231], draws=200)


VERSION = {
    "name": "ward-3-beats",
    "version": 2,
    "task": "beats",
    "family": "ecgbert",
    "synthetic": False,
    "card": {},
}


class FineTuneService:
    """Answers about one fine-tune; what is sent to it is kept."""

    def __init__(self, page: Any, run: dict[str, Any], report: dict[str, Any] | None) -> None:
        self.run, self.report, self.promoted = run, report, False
        self.sent: list[tuple[str, Any]] = []
        page.route("**/v1/fine-tunes/**", self._fine_tune)
        page.route("**/v1/models/ward-3-beats/**", self._model)

    def _fine_tune(self, route: Any) -> None:
        path = route.request.url.split("/v1/fine-tunes/")[1]
        if path == f"{RUN_ID}/events":
            body = events(self.run)
            return route.fulfill(status=200, content_type="text/event-stream", body=body)
        if route.request.method == "POST":
            self.sent.append((path, json.loads(route.request.post_data or "null")))
            status = "cancelled" if path.endswith("cancel") else "succeeded"
            self.run = self.run | {"status": status, "finished_at": "2026-03-01T09:40:00Z"}
        return answer(route, self.report if path.endswith("/report") else self.run)

    def _model(self, route: Any) -> None:
        path = route.request.url.split("/v1/models/ward-3-beats/")[1]
        if route.request.method == "POST":
            self.sent.append((path, None))
            if path.endswith("promote"):
                return answer(route, PROBLEM, status=409)
            self.promoted = path.endswith("promote?force=true")
            return answer(route, {"name": "ward-3-beats", "promoted_version": 1})
        return answer(route, VERSION | {"promoted": self.promoted})


PROBLEM = {
    "type": "https://ectopy.dev/problems/state-conflict",
    "title": "Conflict with the present state",
    "status": 409,
    "detail": "macro F1 is worse than that of ward-3-beats@1 by 0.02 [0.01, 0.03]",
}


def answer(route: Any, body: Any, *, status: int = 200) -> None:
    route.fulfill(status=status, content_type="application/json", body=json.dumps(body))
