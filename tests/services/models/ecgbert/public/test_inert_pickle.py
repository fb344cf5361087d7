"""Files that try something: each is refused, what it tried is named, and nothing of it happens."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from services.errors import MalformedInput
from services.models.ecgbert.public.cluster_files import read_cluster_file
from services.models.ecgbert.public.inert_pickle import InertReader, Name
from tests.services.models.ecgbert.public.made_files import Attack, write_model

ALLOWED = Name("made.module", "Kind")


def value_of(content: bytes) -> Any:
    return InertReader(
        content,
        file_name="a.pkl",
        may_name=(ALLOWED,),
        may_call=(),
        when_built=lambda built, _: built,
    ).value()


def refusal(content: bytes) -> str:
    with pytest.raises(MalformedInput) as caught:
        value_of(content)
    assert caught.value.detail.startswith("a.pkl: ")
    return caught.value.detail


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_values_come_back(protocol: int) -> None:
    value = {"a": [1, -5, 2**40, 1.5, None, True, False], "b": ("x", b"y", ()), "c": {"d": {}}}
    value["e"] = value["a"]
    assert value_of(pickle.dumps(value, protocol)) == value


ATTACKS: list[tuple[str, Callable[[str], Attack]]] = [
    ("system", lambda mark: Attack(os.system, f"touch {mark}")),
    ("Popen", lambda mark: Attack(subprocess.Popen, ["touch", mark])),
    ("eval", lambda mark: Attack(eval, f"open({mark!r}, 'w')")),
    ("exec", lambda mark: Attack(exec, f"open({mark!r}, 'w')")),
    ("open", lambda mark: Attack(open, mark, "w")),
    ("import_module", lambda mark: Attack(__import__("importlib").import_module, "antigravity")),
    ("loads", lambda mark: Attack(pickle.loads, pickle.dumps(Attack(os.system, f"touch {mark}")))),
]


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize(("tried", "attack"), ATTACKS, ids=[name for name, _ in ATTACKS])
def test_a_call_is_refused_and_named(
    tried: str, attack: Callable[[str], Attack], protocol: int, tmp_path: Path
) -> None:
    mark = tmp_path / "was-here"
    detail = refusal(pickle.dumps({"harmless": [1], "model": attack(str(mark))}, protocol))
    assert f"{tried}(" in detail
    assert "nothing in it was executed" in detail
    assert not mark.exists()


def test_the_arguments_of_a_call_are_named(tmp_path: Path) -> None:
    detail = refusal(pickle.dumps(Attack(os.system, "rm -rf x"), 4))
    assert f"{os.name}.system('rm -rf x',)" in detail


@pytest.mark.parametrize("holder", ["labels_", "inertia_", "an attribute that nobody reads"])
def test_an_attack_within_a_cluster_file_is_refused(holder: str, tmp_path: Path) -> None:
    mark, file = tmp_path / "was-here", tmp_path / "P_cluster.pkl"
    write_model(file, n_clusters=12, **{holder: Attack(os.system, f"touch {mark}")})
    with pytest.raises(MalformedInput, match="system"):
        read_cluster_file(file, n_clusters=12)
    assert not mark.exists()


def test_an_attack_within_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    mark, file = tmp_path / "was-here", tmp_path / "P_cluster.pkl"
    hidden = np.array([Attack(os.system, f"touch {mark}"), 1], dtype=object)
    write_model(file, n_clusters=12, extra=hidden)
    with pytest.raises(MalformedInput, match="only plain numbers"):
        read_cluster_file(file, n_clusters=12)
    assert not mark.exists()


def test_the_attacks_would_work_on_an_ordinary_unpickler(tmp_path: Path) -> None:
    """Else the tests above would prove nothing."""
    mark, file = tmp_path / "was-here", tmp_path / "P_cluster.pkl"
    joblib.dump({"labels_": Attack(os.system, f"touch {mark}")}, file)
    joblib.load(file)
    assert mark.exists()


def test_a_name_that_is_only_mentioned_is_refused_too() -> None:
    assert "names posix.system" in refusal(b"\x80\x04cposix\nsystem\n.")


def test_old_instances_are_refused() -> None:
    assert "calls posix.system('id',)" in refusal(b"\x80\x04(\x8c\x02idiposix\nsystem\n.")
    assert "calls posix.system('id',)" in refusal(b"\x80\x04(cposix\nsystem\n\x8c\x02ido.")


@pytest.mark.parametrize(
    ("instruction", "content"),
    [
        ("PERSID", b"\x80\x04Pfile\n."),
        ("BINPERSID", b"\x80\x04NQ."),
        ("EXT1", b"\x80\x04\x82\x01."),
        ("NEWOBJ_EX", b"\x80\x04cmade.module\nKind\n)}\x92."),
        ("NEXT_BUFFER", b"\x80\x05\x97."),
    ],
)
def test_other_instructions_are_refused_by_name(instruction: str, content: bytes) -> None:
    assert f"asks for {instruction}" in refusal(content)


def test_attributes_of_a_class_are_not_set() -> None:
    assert "gives attributes to made.module.Kind" in refusal(b"\x80\x04cmade.module\nKind\n}b.")


def test_an_allowed_class_is_a_name_and_is_not_imported() -> None:
    made = value_of(b"\x80\x04cmade.module\nKind\n)\x81}\x8c\x01a\x4b\x05sb.")
    assert (made.of, made.state) == (ALLOWED, {"a": 5})
    assert "made.module" not in sys.modules


@pytest.mark.parametrize("content", [b"", b"x\x9c", b"PK\x03\x04", b"\x1f\x8b", b"(lp0\n."])
def test_other_files_are_refused(content: bytes) -> None:
    assert "uncompressed joblib" in refusal(content)


def test_a_call_with_an_argument_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "kill([[[" in refusal(pickle.dumps(Attack(os.kill, loop), 4)).replace("([", "([", 1)
