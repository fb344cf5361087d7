"""What `ectopy serve` prints once all runs: what runs where, and a first request to paste."""

from __future__ import annotations

import os
import shlex
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from ectopy.serve.folder import DataFolder
from ectopy.serve.supervisor import Part
from services.version import code_version

EXAMPLE = ("208_excerpt.hea", "208_excerpt.dat")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def banner(parts: Sequence[Part], *, folder: DataFolder, url: str) -> str:
    return "\n".join(
        [
            "",
            f"Ectopy {code_version()} is ready: {url} (how to call it: {url}/docs)",
            "",
            *table(parts),
            "",
            f"Everything is kept in {folder.root}",
            "Labels for an example record:",
            "",
            f"  {curl_line(url)}",
            "",
            "Ctrl-C ends all of it.",
        ]
    )


def table(parts: Sequence[Part]) -> list[str]:
    rows = [("part", "process", "address", "log")]
    rows += [
        (
            part.server.name,
            str(part.child.pid),
            part.server.address or "-",
            str(part.child.program.log),
        )
        for part in parts
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  "
        + "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]
        )
        for row in rows
    ]


def curl_line(url: str) -> str:
    """Works as it is pasted in this folder; past a proxy, if one is set for the web."""
    files = [shlex.quote(f"file=@{path}") for path in example_files()]
    direct = ["--noproxy", "'*'"] if urllib.request.getproxies() else []
    return " ".join(["curl", *direct, *(f"-F {file}" for file in files), f"{url}/v1/predict/beats"])


def example_files() -> list[str]:
    """Relative where we stand above them, else absolute; a placeholder if they are not there."""
    if not all((EXAMPLES / name).exists() for name in EXAMPLE):
        return ["your_record.hea", "your_record.dat"]
    here = Path.cwd()
    base = EXAMPLES.relative_to(here) if EXAMPLES.is_relative_to(here) else EXAMPLES
    return [os.fspath(base / name) for name in EXAMPLE]
