"""One page for a person: the trace on ECG paper, the beats, the figures and their model."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.ecg.leads import STANDARD_12, lead_indices, similar_standard_lead
from services.ecg.record import EcgRecord
from services.ecg.writers.ecg_paper import (
    BASELINE_MM,
    CALIBRATION_MM,
    COLORS,
    MM,
    MM_A_SECOND,
    Strip,
    draw_calibration,
    draw_paper,
    draw_strip,
    joined,
    plain,
)
from services.ecg.writers.findings import RESEARCH_USE, BeatFindings, RiskFinding, distinct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reportlab.pdfgen.canvas import Canvas

PAGE_MM = (297.0, 210.0)  # A4, lying
STRIP_S = 10.0

_LEFT, _PAPER_BOTTOM, _ROW, _ROWS = 16.0, 28.0, 34.0, 4
_PAPER_WIDTH = 265.0
_COLUMNS = (STANDARD_12[0:3], STANDARD_12[3:6], STANDARD_12[6:9], STANDARD_12[9:12])
_MOST_NOTES = 4


def pdf_report(
    record: EcgRecord,
    *,
    made_at: datetime,
    beats: BeatFindings | None = None,
    risk: RiskFinding | None = None,
    start_s: float = 0.0,
) -> bytes:
    """A page of A4, ten seconds from `start_s` on.

    Twelve leads: three rows of four leads with 2.5 s each, and ten seconds of II. Several leads:
    ten seconds of up to four. One lead: forty seconds in four rows. made_at: with a time zone.
    """
    from reportlab.pdfgen.canvas import Canvas  # loaded when something is written

    target = io.BytesIO()
    page = Canvas(target, pagesize=(PAGE_MM[0] * MM, PAGE_MM[1] * MM), invariant=1)
    page.setTitle(plain(f"ECG {record.name}", 100))
    page.setSubject(RESEARCH_USE)
    _draw_head(page, record)
    _draw_figures(page, record, beats, risk)
    draw_paper(
        page,
        left_mm=_LEFT,
        bottom_mm=_PAPER_BOTTOM,
        width_mm=_PAPER_WIDTH,
        height_mm=_ROW * _ROWS,
    )
    for strip in _strips(record, beats, start_s):
        draw_strip(page, record, strip, beats)
    for row in range(_ROWS):
        draw_calibration(page, left_mm=_LEFT + 2.5, middle_mm=_middle(row) + BASELINE_MM)
    _draw_foot(page, record, beats, risk, made_at)
    page.showPage()
    page.save()
    return target.getvalue()


def _middle(row: int) -> float:
    """Of a row, the uppermost is 0."""
    return _PAPER_BOTTOM + _ROW * (_ROWS - row - 0.5)


def _strips(record: EcgRecord, beats: BeatFindings | None, start_s: float) -> Iterator[Strip]:
    place = lead_indices(record.lead_names)
    if len(place) == len(STANDARD_12):
        yield from _twelve_leads(place, start_s)
        return
    left = _LEFT + 5.0 + CALIBRATION_MM
    leads = _leads_to_show(record, beats)
    for row in range(_ROWS if len(leads) == 1 else len(leads)):
        lead = leads[0] if len(leads) == 1 else leads[row]
        begin_s = start_s + (row * STRIP_S if len(leads) == 1 else 0.0)
        yield Strip(lead, begin_s, STRIP_S, left, _middle(row), _ROW, True)


def _twelve_leads(at: Mapping[str, int], start_s: float) -> Iterator[Strip]:
    left, each_s = _LEFT + 5.0 + CALIBRATION_MM, STRIP_S / len(_COLUMNS)
    for column, names in enumerate(_COLUMNS):
        for row, name in enumerate(names):
            yield Strip(
                at[name],
                start_s + column * each_s,
                each_s,
                left + column * each_s * MM_A_SECOND,
                _middle(row),
                _ROW,
                False,
            )
    yield Strip(at["II"], start_s, STRIP_S, left, _middle(_ROWS - 1), _ROW, True)


def _leads_to_show(record: EcgRecord, beats: BeatFindings | None) -> list[int]:
    """Up to four ECG leads, those that the model read first."""
    used = beats.leads_used if beats is not None else ()
    leads = sorted(
        record.ecg_lead_indices,
        key=lambda i: (
            record.lead_names[i] not in used,
            similar_standard_lead(record.lead_names[i]) != "II",
            i,
        ),
    )
    return leads[:_ROWS]


def _draw_head(page: Canvas, record: EcgRecord) -> None:
    page.setFillColorRGB(0, 0, 0)
    page.setFont("Helvetica-Bold", 14)
    page.drawString(_LEFT * MM, 196 * MM, plain(f"ECG {record.name}", 60))
    page.setFont("Helvetica", 9)
    started = f"{record.start_time:%Y-%m-%d %H:%M:%S}" if record.start_time else "not known"
    lines = (
        f"recorded: {started}",
        f"duration: {_duration(record.duration_s)} at {record.sampling_rate_hz:g} Hz",
        f"leads: {joined(record.lead_names, 70)}",
    )
    for number, line in enumerate(lines):
        page.drawString(_LEFT * MM, (189 - 5 * number) * MM, line)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if seconds >= 60 else f"{seconds:.1f} s"


def _draw_figures(
    page: Canvas, record: EcgRecord, beats: BeatFindings | None, risk: RiskFinding | None
) -> None:
    left, top = 150.0, 196.0
    page.setFont("Helvetica-Bold", 10)
    if beats is not None:
        rate_bpm = beats.mean_heart_rate_bpm(record.sampling_rate_hz)
        shown = f"{rate_bpm:.0f} / min" if rate_bpm is not None else "not known"
        page.drawString(left * MM, top * MM, f"{len(beats.sample):,} beats, mean rate {shown}")
        _draw_counts(page, beats, left, top - 6)
    if risk is not None:
        page.setFillColorRGB(0, 0, 0)
        page.setFont("Helvetica-Bold", 10)
        text = f"AFIB within five years: {risk.risk:.1%} ({risk.label})"
        page.drawString(left * MM, (top - 20) * MM, text)
        page.setFont("Helvetica", 8)
        kind = "calibrated" if risk.is_calibrated else "not calibrated"
        note = f"high from {risk.threshold:.1%} on; the probability is {kind}"
        page.drawString(left * MM, (top - 24) * MM, note)


def _draw_counts(page: Canvas, beats: BeatFindings, left: float, top: float) -> None:
    """A row of classes, each with its colour, number and share."""
    total = max(1, len(beats.sample))
    for number, (name, count) in enumerate(beats.counts().items()):
        x = left + number * 26
        page.setFillColorRGB(*COLORS.get(name, (0, 0, 0)))
        page.rect(x * MM, top * MM, 3 * MM, 3 * MM, stroke=0, fill=1)
        page.setFillColorRGB(0, 0, 0)
        page.setFont("Helvetica-Bold", 9)
        page.drawString((x + 4) * MM, top * MM, plain(name, 10))
        page.setFont("Helvetica", 9)
        page.drawString(x * MM, (top - 4.5) * MM, f"{count:,} ({count / total:.1%})")


def _draw_foot(
    page: Canvas,
    record: EcgRecord,
    beats: BeatFindings | None,
    risk: RiskFinding | None,
    made_at: datetime,
) -> None:
    page.setFillColorRGB(0, 0, 0)
    page.setFont("Helvetica", 7.5)
    found = [finding for finding in (beats, risk) if finding is not None]
    notes = distinct([note for finding in found for note in finding.notes] + list(record.notes))
    if len(notes) > _MOST_NOTES:
        notes = [*notes[: _MOST_NOTES - 1], f"and {len(notes) - _MOST_NOTES + 1} more notes"]
    for number, note in enumerate(notes):
        page.drawString(_LEFT * MM, (19.5 - 3.3 * number) * MM, plain(note, 170))
    models = joined(distinct([finding.model for finding in found]), 90) or "none"
    made = f"{made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    page.drawString(_LEFT * MM, 24 * MM, f"25 mm/s   10 mm/mV   model: {models}   made {made}")
    page.setFont("Helvetica-Bold", 9)
    page.drawRightString((PAGE_MM[0] - 16) * MM, 24 * MM, RESEARCH_USE)
