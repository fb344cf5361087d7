"""A version's own archive, as a download gives it: `name-1/weights.safetensors`, card and the like.

Read without torch and without running anything: what is inside is copied under names of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.ecg.readers.archive import OpenedArchive, opened_archive, plain_name
from services.ecg.readers.base import SourceFile, shown
from services.ecg.training_beats import TRAINING_BEATS
from services.errors import MalformedInput, UnusableInput
from services.models.catalog import FAMILY_SPECS

ARCHIVE = "archive"  # the kind of import, beside the tasks
WEIGHTS = "weights.safetensors"
CARD = "card.json"
REQUIRED_FILES = (WEIGHTS, CARD)
OPTIONAL_FILES = ("clusters.npz", TRAINING_BEATS)

MAX_BYTES = 16 << 30
MAX_ENTRIES = 100
MAX_CARD_BYTES = 8 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_model_archive(names: Sequence[str]) -> bool:
    """Whether the files of an import are the archive of a version, by what they are called."""
    return len(names) == 1 and names[0].lower().endswith(".zip")


def card_of_archive(file: Path) -> dict[str, Any]:
    """The card in an archive, checked. MalformedInput or UnusableInput where it is none of ours."""
    with _opened(file) as opened:
        return _card(opened)


def unpacked_model(file: Path, *, into: Path, name: str | None) -> dict[str, Any]:
    """The archive's model folder, written to `into`; its card, renamed where a name is given.

    Files that no version has are left out. Errors as `card_of_archive` raises them; whether the
    weights fit their card is for the family to say.
    """
    with _opened(file) as opened:
        card = _card(opened)
        paths = _paths(opened)
        into.mkdir(parents=True)
        for each in (*REQUIRED_FILES, *OPTIONAL_FILES):
            if each in paths:
                _copy(opened, paths[each], into / each)
    if name is not None and name != card["name"]:
        card = {**card, "name": name}
        (into / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card


def _opened(file: Path) -> Any:
    return opened_archive(SourceFile(file.name, file), max_bytes=MAX_BYTES, max_entries=MAX_ENTRIES)


def _copy(opened: OpenedArchive, path: str, target: Path) -> None:
    """An .npz file is an archive itself, and stays packed."""
    opened.extracted(path, target, nested=target.suffix == ".npz")


def _paths(opened: OpenedArchive) -> dict[str, str]:
    """Of each file of the one model folder in it."""
    folders = {path.rpartition("/")[0] for path in opened.paths if plain_name(path) == CARD}
    if len(folders) != 1:
        raise MalformedInput(
            f"{opened.name} has {len(folders)} model folders; an archive that Ectopy gave has one, "
            f"with {' and '.join(REQUIRED_FILES)}"
        )
    (folder,) = folders
    found = {plain_name(p): p for p in opened.paths if p.rpartition("/")[0] == folder}
    if WEIGHTS not in found:
        raise MalformedInput(f"{opened.name} has no {WEIGHTS} beside its {CARD}")
    return found


def _card(opened: OpenedArchive) -> dict[str, Any]:
    path = _paths(opened)[CARD]
    content = opened.beginning(path, MAX_CARD_BYTES + 1)
    if len(content) > MAX_CARD_BYTES:
        raise MalformedInput(f"{opened.name}: {CARD} has more than {MAX_CARD_BYTES:,} bytes")
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"{opened.name}: {CARD} is not JSON") from error
    if not isinstance(card, dict) or not NAME.fullmatch(str(card.get("name", ""))):
        raise MalformedInput(f"{opened.name}: {CARD} gives the model no name that one can have")
    spec = FAMILY_SPECS.get(str(card.get("family")))
    if spec is None or card.get("task") != spec.task:
        raise UnusableInput(
            f"{opened.name}: {CARD} is of the family {shown(str(card.get('family')))} for "
            f"{shown(str(card.get('task')))}, which this version of Ectopy does not know"
        )
    return card
