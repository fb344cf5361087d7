"""Checkpoints in the store: a run goes on where its folder never was."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.errors import Unavailable
from services.fine_tunes.kept import PREFIX, KeptCheckpoints, forget, present
from services.settings import Settings
from services.storage.base import Store
from services.storage.factory import store_for
from services.storage.object_store import LocalFileStore
from services.training.plan import BEST, LAST
from tests.services.storage.test_stores import s3_settings

NAME = f"run/run/{LAST}"


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")
    if request.param == "s3":
        settings = s3_settings(settings, request.getfixturevalue("s3_endpoint"))
    return store_for(settings)


def write(folder: Path, text: str, name: str = NAME) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.replace(path)


def kept_in(store: Store, folder: Path, row: dict[str, str] | None = None) -> KeptCheckpoints:
    folder.mkdir(exist_ok=True)
    kept = KeptCheckpoints(store, "ft_1", folder)
    kept.take_up(row)
    return kept


def put(kept: KeptCheckpoints) -> dict[str, str]:
    row = kept.put()
    assert row is not None
    kept.replaced(row)
    return row


def test_another_machine_takes_up_the_newest_and_the_older_ones_go(
    store: Store, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    kept = kept_in(store, here)
    write(here, "one")
    write(here, "model", "model/weights.safetensors")
    put(kept)
    assert kept.put() is None  # nothing is new
    write(here, "two")
    write(here, "best", f"run/run/{BEST}")
    row = put(kept)
    assert len(store.folders(f"{PREFIX}ft_1/")) == 2
    again = kept_in(store, there, row)
    assert (there / NAME).read_text() == "two"
    assert (there / f"run/run/{BEST}").read_text() == "best"
    assert not (there / "model").exists()
    assert again.put() is None
    write(there, "three")
    newest = put(again)
    kept_in(store, here, newest)
    assert (here / NAME).read_text() == "three"
    assert present(store) == {"ft_1"}
    forget(store, "ft_1")
    assert present(store) == set()


def test_what_was_written_here_after_the_store_had_it_is_gone_on_with(
    store: Store, tmp_path: Path
) -> None:
    kept = kept_in(store, tmp_path / "here")
    write(tmp_path / "here", "one")
    row = put(kept)
    write(tmp_path / "here", "two")  # and then it was killed
    kept_in(store, tmp_path / "here", row)
    assert (tmp_path / "here" / NAME).read_text() == "two"


def test_what_a_killed_attempt_had_stored_in_vain_goes(store: Store, tmp_path: Path) -> None:
    kept = kept_in(store, tmp_path / "here")
    write(tmp_path / "here", "one")
    kept.put()  # the row does not say so
    kept_in(store, tmp_path / "there")
    assert store.folders(f"{PREFIX}ft_1/") == set()


def test_a_checkpoint_that_is_gone_is_done_without(store: Store, tmp_path: Path) -> None:
    kept = kept_in(store, tmp_path / "there", {NAME: f"{PREFIX}ft_1/cp_gone/{LAST}"})
    assert not (tmp_path / "there" / NAME).exists()
    write(tmp_path / "there", "one")
    assert list(put(kept)) == [NAME]


class Away(LocalFileStore):
    def put(self, key: str, source: Path) -> None:
        raise Unavailable("the store is away")


def test_a_store_that_is_away_keeps_nobody_from_training(tmp_path: Path) -> None:
    kept = kept_in(Away(tmp_path / "store"), tmp_path / "here")
    write(tmp_path / "here", "one")
    assert kept.put() is None
