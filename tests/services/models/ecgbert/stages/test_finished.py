"""A step is done once, and never taken for done when it was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.errors import StateConflict
from services.models.ecgbert.stages.finished import finish


def content(folder: Path) -> str:
    return (folder / "a.txt").read_text()


def test_the_same_step_is_done_once_and_another_replaces_it(tmp_path: Path) -> None:
    step = tmp_path / "step"
    assert finish(step, {"n": 1}, lambda f: (f / "a.txt").write_text("one") and None)
    assert not finish(step, {"n": 1}, lambda f: pytest.fail("done again"))
    assert content(step) == "one"
    assert finish(step, {"n": 2}, lambda f: (f / "b.txt").write_text("two") and None)
    assert not (step / "a.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["step"]


def test_what_was_interrupted_is_done_again_and_what_was_finished_before_stays(
    tmp_path: Path,
) -> None:
    step = tmp_path / "step"
    finish(step, {"n": 1}, lambda f: (f / "a.txt").write_text("one") and None)

    def killed(folder: Path) -> None:
        (folder / "a.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(step, {"n": 2}, killed)
    assert content(step) == "one"
    assert finish(step, {"n": 2}, lambda f: (f / "a.txt").write_text("two") and None)
    assert content(step) == "two"


def test_files_of_somebody_else_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(StateConflict, match="no step of ours wrote"):
        finish(tmp_path, {"n": 1}, lambda f: None)
    assert (tmp_path / "photo.jpg").read_text() == "mine"


def test_a_damaged_note_means_that_the_step_is_done_again(tmp_path: Path) -> None:
    step = tmp_path / "step"
    finish(step, {"n": 1}, lambda f: None)
    (step / "stage.json").write_text("{")
    assert finish(step, {"n": 1}, lambda f: None)
