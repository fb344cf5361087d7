"""How smoothly the page draws a long record: times between frames while a mouse pans and zooms it.

    python -m benchmarks.page [--minutes 30] [--url http://127.0.0.1:8000]

Starts the service for itself unless a URL is given, and a Chromium without a window. A screen shows
a frame every 16.7 ms; the same is measured at rest, which is what the machine gives at best.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.records import wfdb_files
from benchmarks.service import Service

SECONDS = 3.0
STEP_S = 0.008
TWO_FRAMES_MS = 33.4
FLAGS = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
RECORDER = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const frame = () => {
    const now = performance.now();
    window.frames_ms.push(now - last);
    last = now;
    window.recorder = requestAnimationFrame(frame);
  };
  window.recorder = requestAnimationFrame(frame);
}"""
STOP = "() => { cancelAnimationFrame(window.recorder); return window.frames_ms.slice(2); }"


def main() -> None:
    arguments = _arguments()
    if arguments.url:
        return _measure(arguments.url, arguments.minutes, arguments.chromium)
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        try:
            _measure(service.url, arguments.minutes, arguments.chromium)
        finally:
            service.stop()


def _measure(url: str, minutes: float, chromium: str) -> None:
    record_id = _stored(url, minutes)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url) if "/signal?" in one.url else None)
        started = time.perf_counter()
        page.goto(f"{url}/#/records/{record_id}")
        page.get_by_role("region", name="Beats", exact=True).wait_for()
        page.wait_for_load_state("networkidle")
        print(f"opened, with all beats: {time.perf_counter() - started:.2f} s")
        print(f"{'':<26}{'frames':>7}{'median':>9}{'95 %':>9}{'worst':>9}   over 33 ms")
        for name, act in _acts(page):
            _report(name, _frames(page, act))
        print(f"stretches of signal asked for: {len(asked)}")
        browser.close()


def _stored(url: str, minutes: float) -> str:
    parts = [("file", item) for item in wfdb_files(minutes, variant=31).items()]
    with httpx2.Client(base_url=url, timeout=600.0, trust_env=False) as client:
        found = client.post("/v1/predict/beats", files=parts).raise_for_status().json()
    return str(found["record_id"])


def _acts(page: Page) -> list[tuple[str, Callable[[], None]]]:
    """What a person does, for some seconds each."""
    box: Any = page.locator(".trace").bounding_box()
    middle, height = box["x"] + box["width"] / 2, box["y"] + 120

    def span(key: str, times: int = 1) -> None:
        for _ in range(times):
            page.keyboard.press(key)
        page.wait_for_timeout(600)

    def drag() -> None:
        page.mouse.move(middle, height)
        page.mouse.down()
        _repeat(lambda i: page.mouse.move(middle + 380 * np.sin(i / 12), height))
        page.mouse.up()

    def wheel() -> None:
        page.locator(".trace").focus()
        page.mouse.move(middle, height)
        _repeat(lambda i: page.mouse.wheel(0, -60 if (i // 60) % 2 == 0 else 60))

    def after(prepare: Callable[[], None], act: Callable[[], None]) -> Callable[[], None]:
        def both() -> None:
            prepare()
            page.evaluate(RECORDER)
            act()

        return both

    return [
        ("at rest", after(lambda: span("0"), lambda: page.wait_for_timeout(1000 * SECONDS))),
        ("drag at 25 mm/s", after(lambda: span("0"), drag)),
        ("drag, a minute in view", after(lambda: span("-", 4), drag)),
        ("drag, ten minutes in view", after(lambda: span("-", 6), drag)),
        ("wheel, all to one beat", after(lambda: span("w"), wheel)),
    ]


def _repeat(act: Callable[[int], None]) -> None:
    ends = time.perf_counter() + SECONDS
    i = 0
    while time.perf_counter() < ends:
        act(i)
        time.sleep(STEP_S)
        i += 1


def _frames(page: Page, act: Callable[[], None]) -> np.ndarray:
    act()
    return np.array(page.evaluate(STOP))


def _report(name: str, frames: np.ndarray) -> None:
    median, high = np.quantile(frames, (0.5, 0.95))
    slow = 100 * np.mean(frames > TWO_FRAMES_MS)
    worst = frames.max()
    print(f"{name:<26}{len(frames):7d}{median:6.1f} ms{high:6.1f} ms{worst:6.0f} ms   {slow:.1f} %")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--url", default="", help="of a service that runs, instead of one started")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    return parser.parse_args()


if __name__ == "__main__":
    main()
