"""A version is promoted and taken back while clients go on asking: nobody notices but by number."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from services.access.caller import DEFAULT_PROJECT
from services.models.ecgbert.model_folder import write_model_folder
from services.models.ecgbert.network import BeatNetwork
from services.registry import service as registry
from services.registry.files import put_version, stored_location
from services.registry.service import content_of
from services.storage.factory import store_for
from tests.conftest import Live, forget_model
from tests.factories import parts
from tests.services.models.ecgbert.tiny import TINY, tiny_clusters
from tests.signals import made_files

NAME = "hammered"
CLIENTS, REQUESTS = 4, 12


@pytest.fixture
def two_versions(live: Live, tmp_path: Path) -> Iterator[None]:
    """Two networks of a name that answer differently."""
    store = store_for(live.settings)
    for seed in (1, 2):
        torch.manual_seed(seed)
        card = {
            "name": NAME,
            "task": "beats",
            "family": "ecgbert",
            "labels": ["N", "S", "V", "F", "Q"],
            "architecture": vars(TINY),
        }
        folder = tmp_path / str(seed)
        network = BeatNetwork(TINY).eval()
        write_model_folder(folder, network=network, clusters=tiny_clusters(), card=card)
        location = stored_location(f"{NAME}-{seed}")
        put_version(store, location, folder)
        with live.sessions.begin() as session:
            registry.enter(
                session, DEFAULT_PROJECT, card=card, content=content_of(folder), location=location
            )
    yield
    with live.sessions.begin() as session:
        forget_model(session, NAME)


def asked(client: httpx.Client, model: str | None = None) -> dict[str, Any]:
    fields = {"model": model} if model else {}
    answer = client.post("/v1/predict/beats", files=parts(made_files()), data=fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["status"] == "succeeded", found
    return found


def probabilities(prediction: dict[str, Any]) -> list[float]:
    return [beat["probability"] for beat in prediction["result"]["beats"]]


@pytest.mark.usefixtures("two_versions")
def test_no_request_fails_while_versions_come_and_go(live: Live, live_client: httpx.Client) -> None:
    expected = {n: probabilities(asked(live_client, f"{NAME}@{n}")) for n in (1, 2)}
    assert expected[1] != expected[2]
    base = f"/v1/models/{NAME}"
    assert live_client.post(f"{base}/versions/1/promote").status_code == 200
    answers: list[dict[str, Any]] = []
    done = threading.Event()

    def hammer() -> None:
        with httpx.Client(base_url=live.url, timeout=90, trust_env=False) as client:
            answers.extend(asked(client) for _ in range(REQUESTS))

    def flip() -> None:
        with httpx.Client(base_url=live.url, timeout=90, trust_env=False) as client:
            while not done.wait(0.05):
                promoted = client.post(f"{base}/versions/2/promote")
                done.wait(0.05)  # long enough for both to be asked
                back = client.post(f"{base}/rollback")
                assert (promoted.status_code, back.status_code) == (200, 200)

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        flipping = pool.submit(flip)
        clients = [pool.submit(hammer) for _ in range(CLIENTS)]
        wait(clients)
        done.set()
        for each in (*clients, flipping):
            each.result()
    assert len(answers) == CLIENTS * REQUESTS
    assert {a["model"]["name"] for a in answers} == {NAME}
    assert {a["model"]["version"] for a in answers} == {1, 2}
    for answer in answers:
        assert probabilities(answer) == pytest.approx(expected[answer["model"]["version"]])
