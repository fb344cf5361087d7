"""What the Dockerfile and the compose files name exists in the code: queues, settings, modules."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from services.jobs.dispatch import INFERENCE_QUEUES, QUEUES
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile.gpu").read_text()
COMPOSE = "".join(
    (ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.gpu.yml")
)


def test_the_image_listens_to_what_is_predicted_and_the_services_each_to_a_queue() -> None:
    assert re.findall(r"-Q (\S+)", DOCKERFILE) == [",".join(INFERENCE_QUEUES)]
    assert re.findall(r"-Q (\S+)", COMPOSE) == list(QUEUES)


def test_every_setting_that_the_container_files_set_exists() -> None:
    set_here = re.findall(r"^\s+ECTOPY_(\w+):", COMPOSE, re.MULTILINE)
    set_here += re.findall(r"^(?:ENV)?\s+ECTOPY_(\w+)=", DOCKERFILE, re.MULTILINE)
    assert len(set_here) > 10
    assert {name.lower() for name in set_here} <= set(Settings.model_fields)


def test_the_images_start_modules_that_are_there() -> None:
    modules = re.findall(r'"-m", "(\w+)"\]|-A ([\w.]+):app', DOCKERFILE + COMPOSE)
    named = [api or worker for api, worker in modules]
    assert set(named) == {"api", "worker.app", "worker.training_app"}
    assert all(importlib.util.find_spec(name) for name in named)


def test_every_variable_that_the_compose_files_ask_for_is_documented() -> None:
    asked = set(re.findall(r"\$\{(\w+)[:}]", COMPOSE))
    documented = (ROOT / "docs" / "docker.md").read_text()
    assert {name for name in asked if f"`{name}`" not in documented} == set()
