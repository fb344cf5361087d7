"""A short `make rolling`: this very code takes its own place, part after part, under clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from reliability import rolling
from reliability.release import HERE, Release, servers_on
from reliability.rolling import git, tree_of
from reliability.service import free_port


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Where the files of the last commit come to lie."""
    try:
        is_ours = Path(git("rev-parse", "--show-toplevel")) == HERE
    except (RuntimeError, OSError) as error:  # an archive of the code, or no git
        pytest.skip(f"no git history here: {error}")
    if not is_ours:
        pytest.skip("this is a folder within another repository")
    return tmp_path / "old"


@pytest.mark.slow
def test_nothing_is_lost_when_new_code_takes_over(tree: Path, tmp_path: Path) -> None:
    with tree_of("HEAD", tree):
        problems = rolling.rolling(tree, tmp_path / "data", clients=1, epochs=12, together_s=2.0)
    assert problems == []
    assert not tree.exists()


def test_a_tree_whose_code_would_not_run_is_refused(tmp_path: Path) -> None:
    """An installed package must not stand in for code that is not there."""
    with servers_on(tmp_path / "data") as servers:
        assert Release("new", HERE, servers, free_port()).parts
        with pytest.raises(RuntimeError, match="was asked for"):
            Release("old", tmp_path, servers, free_port())
