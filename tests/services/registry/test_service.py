"""Which version of a model answers, and who decides."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.errors import NotFound, StateConflict, Unavailable, UnusableInput
from services.registry import service as registry
from services.registry.row import AnsweringVersionRow, ModelRow, ModelVersionRow, PromotionRow
from services.registry.service import Content

NAME = "shipped-model"
OWN = DEFAULT_PROJECT


@pytest.fixture(autouse=True)
def empty(session: Session) -> None:
    """No model; what the rest of the tests rely on comes back with the rollback."""
    for table in (PromotionRow, AnsweringVersionRow, ModelVersionRow, ModelRow):
        session.query(table).delete()


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder as it comes with the code; its weights can be replaced."""
    folder = tmp_path / "shipped" / NAME
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"first")
    card = {"name": NAME, "task": "beats", "family": "ecgbert"}
    (folder / "card.json").write_text(json.dumps(card))
    monkeypatch.setattr(registry, "shipped_folders", lambda: iter([folder]))
    return folder


def enter(session: Session, name: str = "own", task: str = "beats") -> ModelVersionRow:
    card = {"name": name, "task": task, "family": "ecgbert"}
    return registry.add_version(session, OWN, card=card, sha256="0" * 64, location="fake:")


def answers(session: Session, reference: str | None = None) -> str:
    version = registry.resolve(session, OWN, "beats", reference)
    return f"{version.name}@{version.version}"


def test_a_shipped_model_is_registered_once_and_answers(session: Session, shipped: Path) -> None:
    (version,) = registry.register_shipped(session)
    assert (version.name, version.version) == (NAME, 1)
    assert registry.register_shipped(session) == []
    assert answers(session) == f"{NAME}@1"


def test_new_weights_are_a_new_version_and_answer(session: Session, shipped: Path) -> None:
    registry.register_shipped(session)
    (shipped / "weights.safetensors").write_bytes(b"second")
    (version,) = registry.register_shipped(session)
    assert version.version == 2
    assert answers(session) == f"{NAME}@2"
    assert answers(session, f"{NAME}@1") == f"{NAME}@1"


def test_what_the_site_chose_among_the_shipped_stays(session: Session, shipped: Path) -> None:
    registry.register_shipped(session)
    registry.promote(session, OWN, NAME, 1)
    (shipped / "weights.safetensors").write_bytes(b"second")
    registry.register_shipped(session)
    assert answers(session) == f"{NAME}@1"


def test_what_the_site_made_stays(session: Session, shipped: Path) -> None:
    registry.register_shipped(session)
    enter(session)
    registry.promote(session, OWN, "own", 1)
    (shipped / "weights.safetensors").write_bytes(b"second")
    registry.register_shipped(session)
    assert answers(session) == "own@1"


def test_the_weights_that_lie_there_must_be_those_of_the_version(
    session: Session, shipped: Path
) -> None:
    (first,) = registry.register_shipped(session)
    assert registry.folder_of(first.location, first.sha256) == shipped
    (shipped / "weights.safetensors").write_bytes(b"second")
    with pytest.raises(Unavailable, match="another release"):
        registry.folder_of(first.location, first.sha256)
    with pytest.raises(Unavailable):
        registry.folder_of("shipped:../../etc", first.sha256)


def test_processes_that_register_at_once_do_not_disturb_each_other(
    session: Session, sessions: SessionFactory, shipped: Path
) -> None:
    session.rollback()
    found: list[int] = []
    start = threading.Barrier(3)

    def register() -> None:
        start.wait()
        with sessions.begin() as mine:
            found.append(len(registry.register_shipped(mine)))

    threads = [threading.Thread(target=register) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sessions.begin() as mine:
        for table in (PromotionRow, AnsweringVersionRow, ModelVersionRow, ModelRow):
            mine.query(table).filter(table.name == NAME).delete()
    assert sorted(found) == [0, 0, 1]


def test_promotions_are_taken_back_one_by_one(session: Session) -> None:
    for number in (1, 2, 3):
        enter(session)
        registry.promote(session, OWN, "own", number)
    assert registry.rollback(session, OWN, "own").promoted_version == 2
    assert registry.rollback(session, OWN, "own").promoted_version == 1
    with pytest.raises(StateConflict, match="no earlier"):
        registry.rollback(session, OWN, "own")


def test_promoting_the_same_version_twice_does_not_block_the_way_back(session: Session) -> None:
    for number in (1, 2):
        enter(session)
        registry.promote(session, OWN, "own", number)
    registry.promote(session, OWN, "own", 2)
    assert registry.rollback(session, OWN, "own").promoted_version == 1


def test_a_version_that_is_not_there_cannot_be_promoted(session: Session) -> None:
    enter(session)
    with pytest.raises(NotFound, match="no version 2"):
        registry.promote(session, OWN, "own", 2)
    with pytest.raises(NotFound, match="no model"):
        registry.promote(session, OWN, "nobody", 1)


def test_the_model_promoted_last_answers_for_its_task(session: Session) -> None:
    enter(session, "a")
    enter(session, "b")
    registry.promote(session, OWN, "b", 1)
    registry.promote(session, OWN, "a", 1)
    assert answers(session) == "a@1"


def test_without_a_promoted_version_the_number_must_be_named(session: Session) -> None:
    enter(session)
    with pytest.raises(Unavailable, match="ectopy migrate"):
        registry.resolve(session, OWN, "beats", None)
    with pytest.raises(StateConflict, match="@version"):
        registry.resolve(session, OWN, "beats", "own")
    assert answers(session, "own@1") == "own@1"


@pytest.mark.parametrize("reference", ["", "@1", "own@", "own@0", "own@01", "a b", "x" * 200])
def test_a_reference_is_a_name_or_a_name_and_a_number(session: Session, reference: str) -> None:
    with pytest.raises(UnusableInput, match="name@version"):
        registry.resolve(session, OWN, "beats", reference)


def test_there_are_two_tasks(session: Session) -> None:
    with pytest.raises(UnusableInput, match="afib-5y"):
        registry.resolve(session, OWN, "sleep", None)


def test_another_card_or_other_clusters_with_the_same_weights_are_another_version(
    session: Session, shipped: Path
) -> None:
    registry.register_shipped(session)
    card = json.loads((shipped / "card.json").read_text())
    (shipped / "card.json").write_text(json.dumps(card | {"limits": "one lead"}))
    (second,) = registry.register_shipped(session)
    (shipped / "clusters.npz").write_bytes(b"clusters")
    (third,) = registry.register_shipped(session)
    assert registry.register_shipped(session) == []
    assert (second.version, third.version) == (2, 3)
    assert second.sha256 == third.sha256
    assert registry.folder_of(third.location, third.sha256) == shipped
    with pytest.raises(Unavailable, match="another release"):
        registry.folder_of(second.location, second.sha256)


def test_a_version_from_before_content_was_kept_is_known_by_its_card(
    session: Session, shipped: Path
) -> None:
    (version,) = registry.register_shipped(session)
    version.content_sha256, version.location = None, f"shipped:{NAME}"
    session.flush()
    assert registry.register_shipped(session) == []
    assert registry.folder_of(version.location, version.sha256) == shipped


def report(against: str, verdict: str, figure: str = "macro_f1") -> dict[str, Any]:
    difference = {"value": -0.1, "low": -0.15, "high": -0.05}
    return {
        "differences": [
            {"against": against, "figure": figure, "difference": difference, "verdict": verdict}
        ]
    }


def enter_reported(session: Session, found: dict[str, Any], name: str = "own") -> None:
    card = {"name": name, "task": "beats", "family": "ecgbert"}
    registry.enter(
        session, OWN, card=card, content=Content("1" * 64), location="fake:", report=found
    )


def test_a_version_that_is_worse_beyond_chance_is_promoted_only_by_force(session: Session) -> None:
    enter(session)
    registry.promote(session, OWN, "own", 1)
    enter_reported(session, report("own@1", "worse"))
    with pytest.raises(StateConflict, match=r"own@2 is worse than own@1 .* macro_f1 .*-0\.100"):
        registry.promote(session, OWN, "own", 2)
    assert answers(session) == "own@1"
    registry.promote(session, OWN, "own", 2, force=True, key_id="key_1")
    assert answers(session) == "own@2"
    forced, first = registry.promotions(session, OWN, "own", 10)
    assert (forced.version, forced.previous_version, forced.key_id) == (2, 1, "key_1")
    assert "own@2 is worse than own@1" in (forced.overruled or "")
    assert first.overruled is None


@pytest.mark.parametrize(
    ("against", "verdict", "figure"),
    [
        ("own@1", "no different", "macro_f1"),
        ("own@1", "better", "macro_f1"),
        ("other@1", "worse", "macro_f1"),
        ("own@1", "worse", "brier"),
    ],
)
def test_what_does_not_speak_against_it_does_not_hinder_a_promotion(
    session: Session, against: str, verdict: str, figure: str
) -> None:
    enter(session)
    registry.promote(session, OWN, "own", 1)
    enter_reported(session, report(against, verdict, figure))
    assert registry.promote(session, OWN, "own", 2).promoted_version == 2


def test_a_first_version_is_held_against_what_answers_for_its_task(session: Session) -> None:
    enter(session)
    registry.promote(session, OWN, "own", 1)
    enter_reported(session, report("own@1", "worse"), name="ward")
    with pytest.raises(StateConflict, match="ward@1 is worse than own@1"):
        registry.promote(session, OWN, "ward", 1)


def test_going_back_asks_no_report(session: Session) -> None:
    enter_reported(session, report("own@2", "worse"))
    registry.promote(session, OWN, "own", 1)
    enter(session)
    registry.promote(session, OWN, "own", 2)
    assert registry.rollback(session, OWN, "own").promoted_version == 1
