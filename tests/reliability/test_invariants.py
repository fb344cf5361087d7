"""What the trials look for in the end is found where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from reliability.clients import Accepted
from reliability.invariants import checked, unpromised
from services.settings import Settings
from tests.factories import upload

PROMISED = {"pred_a": "rec_a", "pred_b": "rec_b"}


@dataclass
class Held:
    """Where this test's service keeps everything."""

    data: Path
    settings: Settings

    def database_url(self) -> str:
        url = self.settings.database.set(drivername="postgresql")
        return url.render_as_string(hide_password=False)


@pytest.fixture
def accepted() -> Accepted:
    """A prediction of each of two records; one answer about the second was lost before."""
    accepted = Accepted(predictions={"a": "pred_a", "b": "pred_b"})
    accepted.unsure["rec_b"] += 1
    return accepted


def test_a_lost_answer_may_have_been_a_promise(accepted: Accepted) -> None:
    assert unpromised(PROMISED, accepted) == []
    assert unpromised(PROMISED | {"pred_c": "rec_b"}, accepted) == []


@pytest.mark.parametrize(
    "made",
    [{"pred_c": "rec_a"}, {"pred_c": "rec_b", "pred_d": "rec_b"}, {"pred_c": "rec_c"}],
    ids=["of a record whose answers all came", "more than were lost", "of nobody's record"],
)
def test_a_prediction_that_nobody_was_promised_is_a_problem(
    accepted: Accepted, made: dict[str, str]
) -> None:
    (problem,) = unpromised(PROMISED | made, accepted)
    assert "made, and never accepted" in problem
    assert all(one in problem for one in made)


def test_a_record_that_was_promised_and_is_not_there_is_a_problem(
    api: TestClient, settings: Settings, example: dict[str, bytes]
) -> None:
    held = Held(settings.data_dir, settings)
    there = upload(api, example)["id"]
    assert checked(held, Accepted(records={"a": there})) == []
    problems = checked(held, Accepted(records={"a": there, "b": "rec_b"}))
    assert problems == ["accepted, and gone: rec_b"]
