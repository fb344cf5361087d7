"""The table of numbers in docs/ecgbert.md against the specs, and its quirks against the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from services.ecg import labels, segmentation
from services.models.ecgbert import spec
from services.models.ecgbert.guide import sentences
from services.models.ecgbert.guide import spec as guide
from services.models.ecgbert.reference import spec as reference

ROOT = Path(__file__).resolve().parents[5]
DOCUMENT = (ROOT / "docs" / "ecgbert.md").read_text()
NUMBERS_HEADING = "## Every number of the guide, and where it lives"
MODULES: dict[str, ModuleType] = {
    "spec": spec,
    "reference": reference,
    "guide": guide,
    "sentences": sentences,
    "segmentation": segmentation,
    "labels": labels,
}


class Row(NamedTuple):
    step: str
    number: str
    value: Any
    unit: str
    where: str


def rows() -> list[Row]:
    lines = DOCUMENT.split(NUMBERS_HEADING)[1].splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return [Row(c[0], c[1], ast.literal_eval(c[2]), c[3], c[4]) for c in cells[2:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.where)
def test_a_number_in_the_table_is_the_one_in_the_code(row: Row) -> None:
    module, name = row.where.split(".")
    value = getattr(MODULES[module], name)
    assert value == row.value
    assert type(value) is type(row.value)


def test_every_number_of_the_reference_is_in_the_table() -> None:
    constants = {name for name in vars(reference) if name.isupper()}
    assert constants == {row.where.split(".")[1] for row in rows() if row.where[:4] == "refe"}


@pytest.mark.parametrize(
    "step",
    ["preprocessing", "segmentation", "sentence", "embedding", "encoder", "fine-tune", "outputs"],
)
def test_every_step_of_the_guide_has_numbers(step: str) -> None:
    assert len([row for row in rows() if row.step == step]) >= 3


def test_units_in_names_and_in_the_table_agree() -> None:
    units = {"_HZ": "Hz", "_S": "s", "_ID": "id"}
    for row in rows():
        for ending, unit in units.items():
            if row.where.endswith(ending):
                assert row.unit == unit, row.where


def test_every_quirk_that_the_code_names_is_in_the_list_of_differences() -> None:
    listed = {int(n) for n in re.findall(r"^\| (\d+) \|", DOCUMENT, flags=re.MULTILINE)}
    code = (ROOT / "services" / "models" / "ecgbert" / "reference").glob("*.py")
    named = {int(n) for file in code for n in re.findall(r"[Qq]uirk (\d+)", file.read_text())}
    assert listed == set(range(1, 26))
    assert {1, 2, 4, 5, 6, 7, 8, 9, 10, 11} <= named <= listed
