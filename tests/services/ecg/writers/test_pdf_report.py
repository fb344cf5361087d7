"""The report, read back with another library: one page, its words, and the trace to scale."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pypdfium2
import pytest

from services.ecg.record import EcgRecord
from services.ecg.writers.ecg_paper import BASELINE_MM
from services.ecg.writers.pdf_report import PAGE_MM, pdf_report
from tests.services.ecg.writers.findings_made import made_beats, made_record, made_risk

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)
DOTS_A_MM = 4


def page_of(record: EcgRecord, **given: Any) -> tuple[str, np.ndarray]:
    """Its text, and its pixels: (rows, columns) of darkness in all colours, 4 a millimetre."""
    document = pypdfium2.PdfDocument(pdf_report(record, made_at=NOW, **given))
    assert len(document) == 1
    page = document[0]
    text = page.get_textpage().get_text_bounded()
    pixels = page.render(scale=DOTS_A_MM * 25.4 / 72).to_numpy()
    document.close()
    return text, 255 - pixels[..., :3].max(axis=2)


def test_the_figures_and_the_model_are_on_the_page() -> None:
    record = made_record(12)
    text, _ = page_of(record, beats=made_beats(record), risk=made_risk())
    for words in (
        "ECG made 1",
        "recorded: 2026-03-02 13:05:00",
        "duration: 20.0 s at 250 Hz",
        "25 beats, mean rate 75 / min",
        "5 (20.0%)",
        "AFIB within five years: 23.0% (high)",
        "high from 20.0% on; the probability is not calibrated",
        "model: ecgbert@3, deepecg@1",
        "made 2026-03-04 10:30 UTC",
        "Research use only. Not a medical device.",
        "lead I was flat",
    ):
        assert words in text
    assert all(name in text.split() for name in record.lead_names)


def test_the_page_is_a4_and_the_trace_to_scale() -> None:
    """A step of 1 mV after 4 s is 10 mm high and 100 mm from the start of the strip."""
    signal = np.zeros((1, 5000), dtype=np.float32)
    signal[0, 1000:2000] = 1.0
    record = replace(made_record(1), signal=signal, annotations=None)
    _, dark = page_of(record)
    assert dark.shape == pytest.approx([PAGE_MM[1] * DOTS_A_MM, PAGE_MM[0] * DOTS_A_MM], abs=2)
    top_row = dark[int(46 * DOTS_A_MM) : int(80 * DOTS_A_MM)] > 90  # the first strip of four
    left_mm = 16 + 5 + 5
    low, high = (
        np.median(np.flatnonzero(top_row[:, int((left_mm + at_mm) * DOTS_A_MM)]))
        for at_mm in (52.3, 152.3)
    )
    assert (low - high) / DOTS_A_MM == pytest.approx(10, abs=0.3)
    # the upright of the step: the column with the most ink
    upright = int(np.argmax(top_row[:, int((left_mm + 20) * DOTS_A_MM) :].sum(axis=0)))
    assert upright / DOTS_A_MM + 20 == pytest.approx(100, abs=0.5)
    assert BASELINE_MM < 0


@pytest.mark.parametrize("n_leads", [1, 2, 8, 12])
def test_any_number_of_leads_gets_a_page(n_leads: int) -> None:
    text, _ = page_of(made_record(n_leads))
    assert text.split().count("I") >= 1


def test_what_is_missing_or_short_or_wild_is_drawn_without_an_error() -> None:
    record = made_record(2)
    signal = record.signal.copy()
    signal[0] = np.nan
    signal[1, 100:300] = np.nan
    signal[1, 400] = 1e6
    page_of(replace(record, signal=signal), start_s=1.0)
    page_of(record, start_s=1000.0)
    page_of(made_record(1, n_samples=260))


def test_names_in_any_script_do_not_break_the_page() -> None:
    record = replace(made_record(), name="心电图 \u0000 Ünal", notes=tuple("abcdef"))
    text, _ = page_of(record)
    assert "Ünal" in text
    assert "and 3 more notes" in text


def test_the_same_findings_give_the_same_bytes() -> None:
    record = made_record()
    assert pdf_report(record, made_at=NOW) == pdf_report(record, made_at=NOW)
