"""As a person goes it: the sample record, the model that ships, beats on the trace."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.records_to_show import parts_of
from tests.conftest import Live

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect


def test_the_sample_record_is_read_by_the_model_that_ships(
    context: Any, live: Live, example: dict[str, bytes]
) -> None:
    page = context.new_page()
    page.goto(live.url)
    page.set_input_files("#files", parts_of(_not_here_yet(example)))
    expect(page.get_by_role("link", name="ecgbert-beats@")).to_be_visible(timeout=60_000)
    page.keyboard.press("v")
    # record 208 has its first premature ventricular beats within the first half minute
    expect(page.locator("#status")).to_contain_text("V beat at 0:")
    expect(page.locator(".beat-line")).to_contain_text("Ventricular ectopic")


def _not_here_yet(example: dict[str, bytes]) -> dict[str, bytes]:
    """The same record in other bytes: whatever ran before has left the sample with this service."""
    ours = b"# read by the model that ships\n"
    return {
        name: content + ours if name.endswith(".hea") else content
        for name, content in example.items()
    }
