"""Takes the pictures of the page that the README and docs/page.md show.

    python -m docs.screenshots [--mitdb FOLDER] [--url http://127.0.0.1:8000]

Starts the service for itself unless a URL is given, uploads the sample record and half an hour made
of it, and writes docs/screenshots/*.png. With a folder of MIT-BIH records, record 208 is shown with
its reference annotations as well.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.records import wfdb_files
from benchmarks.service import Service

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "screenshots"
FLAGS = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WITH_REFERENCE = "208"


@dataclass(frozen=True)
class Shot:
    """A picture: of which record, after which keys, how wide, in which colors."""

    name: str
    record: str
    keys: tuple[str, ...] = ()
    width: int = 1440
    height: int = 900
    dark: bool = False


SHOTS = (
    Shot("records", "", height=560),
    Shot("light", "sample", ("v", "v", "v")),
    Shot("dark", "sample", ("v", "v", "v"), dark=True),
    Shot("whole-record", "half-hour", ("w",)),
    Shot("phone", "sample", ("v", "v", "Escape"), width=360, height=780),
    Shot("keys", "sample", ("?",)),
    Shot("reference", "reference", ("d", "d")),
)


def main() -> None:
    arguments = _arguments()
    if arguments.url:
        return _take(arguments.url, arguments)
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        try:
            _take(service.url, arguments)
        finally:
            service.stop()


def _take(url: str, arguments: argparse.Namespace) -> None:
    records = _stored(url, arguments.mitdb)
    TARGET.mkdir(exist_ok=True)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=flags)
        for shot in SHOTS:
            if not shot.record or shot.record in records:
                _picture(browser, url, shot, records)
        browser.close()


def _picture(browser: Browser, url: str, shot: Shot, records: Mapping[str, str]) -> None:
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        device_scale_factor=2 if shot.width < 600 else 1,
        color_scheme="dark" if shot.dark else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{url}/#/records/{records[shot.record]}" if shot.record else url)
    _drawn(page, with_beats=bool(shot.record))
    for key in shot.keys:
        page.keyboard.press(key)
        _drawn(page, with_beats=bool(shot.record))
    page.screenshot(path=str(TARGET / f"{shot.name}.png"))
    context.close()


def _drawn(page: Page, *, with_beats: bool) -> None:
    if with_beats:
        page.get_by_role("region", name="Beats", exact=True).wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(250)


def _stored(url: str, mitdb: Path | None) -> dict[str, str]:
    """Ids of the records that are shown, their beats read."""
    wanted: dict[str, Mapping[str, bytes]] = {
        "half-hour": wfdb_files(30),
        "sample": _files(ROOT / "examples", "208_excerpt", (".hea", ".dat")),
    }
    if mitdb is not None:
        wanted["reference"] = _files(mitdb, WITH_REFERENCE, (".hea", ".dat", ".atr"))
    with httpx2.Client(base_url=url, timeout=600.0, trust_env=False) as client:
        return {name: _read(client, files) for name, files in wanted.items()}


def _files(folder: Path, name: str, ends: tuple[str, ...]) -> dict[str, bytes]:
    return {name + end: (folder / (name + end)).read_bytes() for end in ends}


def _read(client: Any, files: Mapping[str, bytes]) -> str:
    parts = [("file", item) for item in files.items()]
    found = client.post("/v1/predict/beats", files=parts).raise_for_status().json()
    if found["status"] != "succeeded":
        raise SystemExit(f"no beats to show: {found['error']}")
    return str(found["record_id"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mitdb", type=Path, help="folder of MIT-BIH records")
    parser.add_argument("--url", default="", help="of a service that runs, instead of one started")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    return parser.parse_args()


if __name__ == "__main__":
    main()
