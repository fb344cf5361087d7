"""What a refused XML file leaves in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.ecg.readers.safe_xml import MAX_DEPTH
from tests import corpus

MANY = b"<a>" + b"<b>text</b>" * 5000

# a process of its own: what other tests and their threads leave would be counted with it
PROGRAM = """
import gc, sys
from pathlib import Path
from services.ecg.readers.base import SourceFile
from services.ecg.readers.safe_xml import parsed_xml
from services.errors import EctopyError

def refused():
    try:
        parsed_xml(SourceFile("a.xml", Path(sys.argv[1])))
    except EctopyError:
        return
    raise AssertionError("was not refused")

gc.disable()
refused()  # with it come the parser's modules
gc.collect()
refused()
print(gc.collect())
"""


@pytest.mark.parametrize(
    "content",
    [
        MANY + b"<c",
        MANY + b"<b>" * MAX_DEPTH,
        MANY + b"&unknown;</a>",
        b'<!DOCTYPE a [<!ENTITY e "x">]>' + MANY + b"</a>",
    ],
    ids=["cut off", "too deep", "unknown entity", "declared entity"],
)
def test_a_refused_file_leaves_nothing_to_the_collector(tmp_path: Path, content: bytes) -> None:
    """Whose last generation is looked at hardly ever in a process that has much loaded."""
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    left = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        cwd=corpus.EXAMPLES.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert left.stdout.strip() == "0"
