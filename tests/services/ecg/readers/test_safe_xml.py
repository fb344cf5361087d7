"""What a refused XML file leaves in memory."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from services.ecg.readers.base import SourceFile
from services.ecg.readers.safe_xml import MAX_DEPTH, parsed_xml
from services.errors import EctopyError

MANY = b"<a>" + b"<b>text</b>" * 5000


@pytest.mark.parametrize(
    "content",
    [
        MANY + b"<c",
        MANY + b"<b>" * MAX_DEPTH,
        MANY + b"&unknown;</a>",
        b'<!DOCTYPE a [<!ENTITY e "x">]>' + MANY + b"</a>",
    ],
)
def test_a_refused_file_leaves_nothing_to_the_collector(tmp_path: Path, content: bytes) -> None:
    """Whose last generation is looked at hardly ever in a process that has much loaded."""
    path = tmp_path / "a.xml"
    path.write_bytes(content)

    def refused() -> None:
        try:
            parsed_xml(SourceFile("a.xml", path))
        except EctopyError:
            return
        pytest.fail("was not refused")

    refused()
    gc.collect()
    gc.disable()
    try:
        refused()
        assert gc.collect() == 0
    finally:
        gc.enable()
