"""Takes the pictures of the page that the README and docs/page.md show.

    python -m docs.screenshots [--mitdb FOLDER] [--twelve FILE.hea] [--url http://127.0.0.1:8000]

Starts the service for itself unless a URL is given, uploads the sample record and half an hour made
of it, and writes docs/screenshots/*.png. With a folder of MIT-BIH records, record 208 is shown with
its reference annotations, and a dataset of some of DS1 (no patient of the test set) and a short
fine-tune on it, which takes minutes. With a 12-lead WFDB record, that one is shown as a sheet.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
import time
import zipfile
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
WARD = ("106", "109", "114", "118", "119", "203", "209", "215", "223")
HYPERPARAMETERS = {"epochs": 5, "test_share": 0.35, "validation_share": 0.25}
PATIENCE_S = 1800.0


@dataclass(frozen=True)
class Shot:
    """A picture: of which record, after which keys, how wide, in which colors."""

    name: str
    record: str
    keys: tuple[str, ...] = ()
    width: int = 1440
    height: int = 900
    dark: bool = False
    whole: bool = False


SHOTS = (
    Shot("records", "", height=560),
    Shot("light", "sample", ("v", "v", "v")),
    Shot("dark", "sample", ("v", "v", "v"), dark=True),
    Shot("whole-record", "half-hour", ("w",)),
    Shot("phone", "sample", ("v", "v", "Escape"), width=360, height=780),
    Shot("keys", "sample", ("?",)),
    Shot("reference", "reference", ("d", "d")),
    Shot("twelve-leads", "twelve", height=800),
)
# of other views: a place, and what is waited for
LEARNING_SHOTS = (
    (Shot("dataset", "", height=1000), "datasets", "Leakage audit"),
    (Shot("fine-tune", "", whole=True), "fine-tunes", "Confusion matrix"),
    (Shot("report", "", height=1000), "fine-tunes", "Confusion matrix"),
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
    records = _stored(url, arguments)
    learned = _learned(url, arguments.mitdb) if arguments.mitdb else {}
    TARGET.mkdir(exist_ok=True)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=flags)
        for shot in SHOTS:
            if not shot.record or shot.record in records:
                _picture(browser, url, shot, records)
        for shot, view, there in LEARNING_SHOTS if learned else ():
            _learning_picture(browser, f"{url}/#/{view}/{learned[view]}", shot, there)
        browser.close()


def _learning_picture(browser: Browser, url: str, shot: Shot, there: str) -> None:
    page = _page(browser, shot)
    page.goto(url)
    page.get_by_text(there).first.wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=str(TARGET / f"{shot.name}.png"), full_page=shot.whole)
    page.context.close()


def _page(browser: Browser, shot: Shot) -> Page:
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        device_scale_factor=2 if shot.width < 600 else 1,
        color_scheme="dark" if shot.dark else "light",
        reduced_motion="reduce",
    )
    return context.new_page()


def _picture(browser: Browser, url: str, shot: Shot, records: Mapping[str, str]) -> None:
    page = _page(browser, shot)
    page.goto(f"{url}/#/records/{records[shot.record]}" if shot.record else url)
    _drawn(page, with_beats=bool(shot.record))
    for key in shot.keys:
        page.keyboard.press(key)
        _drawn(page, with_beats=bool(shot.record))
    page.screenshot(path=str(TARGET / f"{shot.name}.png"))
    page.context.close()


def _drawn(page: Page, *, with_beats: bool) -> None:
    if with_beats:
        page.get_by_role("region", name="Beats", exact=True).wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(250)


def _learned(url: str, mitdb: Path) -> dict[str, str]:
    """Ids of a dataset and of a fine-tune on it that has ended."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in WARD:
            for file, content in _files(mitdb, name, (".hea", ".dat", ".atr")).items():
                archive.writestr(file, content)
    with httpx2.Client(base_url=url, timeout=600.0, trust_env=False) as client:
        form = {"name": "Nine records of DS1", "task": "beats"}
        files = [("file", ("ds1.zip", packed.getvalue()))]
        dataset = client.post("/v1/datasets", data=form, files=files).raise_for_status().json()
        body = {"task": "beats", "dataset_id": dataset["id"], "name": "ward-beats"}
        body |= {"hyperparameters": HYPERPARAMETERS}
        run = client.post("/v1/fine-tunes", json=body).raise_for_status().json()
        deadline = time.monotonic() + PATIENCE_S
        while not run["finished_at"]:
            if time.monotonic() > deadline:
                raise SystemExit("the fine-tune takes too long")
            time.sleep(2.0)
            run = client.get(f"/v1/fine-tunes/{run['id']}").raise_for_status().json()
    if run["status"] != "succeeded":
        raise SystemExit(f"no fine-tune to show: {run['error']}")
    return {"datasets": dataset["id"], "fine-tunes": run["id"]}


def _stored(url: str, arguments: argparse.Namespace) -> dict[str, str]:
    """Ids of the records that are shown, their beats read."""
    wanted: dict[str, Mapping[str, bytes]] = {
        "half-hour": wfdb_files(30),
        "sample": _files(ROOT / "examples", "208_excerpt", (".hea", ".dat")),
    }
    if arguments.mitdb is not None:
        wanted["reference"] = _files(arguments.mitdb, WITH_REFERENCE, (".hea", ".dat", ".atr"))
    if arguments.twelve is not None:
        found = arguments.twelve.parent.glob(f"{arguments.twelve.stem}.*")
        wanted["twelve"] = {file.name: file.read_bytes() for file in sorted(found)}
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
    parser.add_argument("--twelve", type=Path, help="header of a 12-lead WFDB record")
    parser.add_argument("--url", default="", help="of a service that runs, instead of one started")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    return parser.parse_args()


if __name__ == "__main__":
    main()
