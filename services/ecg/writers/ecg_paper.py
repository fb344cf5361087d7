"""ECG paper and traces on a PDF page: 25 mm a second, 10 mm a millivolt, a 1 mV calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from services.ecg.decimation import min_max_envelope
from services.ecg.record import EcgRecord, FloatArray
from services.ecg.writers.findings import BeatFindings

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

MM = 72.0 / 25.4  # points
MM_A_SECOND, MM_A_MILLIVOLT = 25.0, 10.0
CALIBRATION_MM = 5.0
BASELINE_MM = -5.0  # of a strip's median, from its middle: most of an ECG points up

_FINE, _COARSE = (0.97, 0.86, 0.86), (0.93, 0.68, 0.68)
_INK = (0.05, 0.05, 0.1)
_MAX_POINTS = 5000

# Okabe and Ito's colours, which most colour-blind people can tell apart; the letter says it too
COLORS = MappingProxyType(
    {
        "N": (0.0, 0.45, 0.7),
        "S": (0.9, 0.6, 0.0),
        "V": (0.84, 0.37, 0.0),
        "F": (0.8, 0.47, 0.65),
        "Q": (0.35, 0.35, 0.35),
        "normal": (0.0, 0.45, 0.7),
        "abnormal": (0.84, 0.37, 0.0),
    }
)


@dataclass(frozen=True)
class Strip:
    """A stretch of one lead. Times in s from the start of the record, places in mm on the page."""

    lead: int
    start_s: float
    duration_s: float
    left_mm: float
    middle_mm: float
    height_mm: float
    marks_beats: bool


def draw_paper(
    page: Canvas, *, left_mm: float, bottom_mm: float, width_mm: float, height_mm: float
) -> None:
    """Squares of 1 and of 5 mm."""
    for step, color, width in ((1, _FINE, 0.2), (5, _COARSE, 0.4)):
        page.setStrokeColorRGB(*color)
        page.setLineWidth(width)
        for x in np.arange(0, width_mm + 0.5, step):
            _line(page, left_mm + x, bottom_mm, left_mm + x, bottom_mm + height_mm)
        for y in np.arange(0, height_mm + 0.5, step):
            _line(page, left_mm, bottom_mm + y, left_mm + width_mm, bottom_mm + y)


def draw_calibration(page: Canvas, *, left_mm: float, middle_mm: float) -> None:
    """A pulse of 1 mV and 0.2 s."""
    page.setStrokeColorRGB(*_INK)
    page.setLineWidth(0.6)
    top = middle_mm + MM_A_MILLIVOLT
    corners = ((0.0, middle_mm), (0.5, middle_mm), (0.5, top), (4.5, top), (4.5, middle_mm))
    path = page.beginPath()
    path.moveTo(left_mm * MM, middle_mm * MM)
    for x, y in (*corners, (CALIBRATION_MM, middle_mm)):
        path.lineTo((left_mm + x) * MM, y * MM)
    page.drawPath(path)


def draw_strip(page: Canvas, record: EcgRecord, strip: Strip, beats: BeatFindings | None) -> None:
    """The trace, cut off at the edges of its strip, its name, and the beats in it."""
    rate_hz = record.sampling_rate_hz
    first = max(0, round(strip.start_s * rate_hz))
    last = min(record.n_samples, round((strip.start_s + strip.duration_s) * rate_hz))
    page.saveState()
    bottom = strip.middle_mm - strip.height_mm / 2
    frame = page.beginPath()
    frame.rect(
        strip.left_mm * MM, bottom * MM, strip.duration_s * MM_A_SECOND * MM, strip.height_mm * MM
    )
    page.clipPath(frame, stroke=0)
    _draw_trace(page, record.signal[strip.lead : strip.lead + 1, first:last], strip, rate_hz)
    page.restoreState()
    page.setFillColorRGB(*_INK)
    page.setFont("Helvetica-Bold", 8)
    name = plain(record.lead_names[strip.lead], 12)
    page.drawString((strip.left_mm + 1) * MM, (bottom + strip.height_mm - 9) * MM, name)
    if beats is not None and strip.marks_beats:
        _draw_beats(page, beats, strip, span=(first, last), rate_hz=rate_hz)


def _draw_trace(page: Canvas, signal: FloatArray, strip: Strip, rate_hz: float) -> None:
    """A line about the median of the samples, broken where some are missing."""
    if not signal.shape[1]:
        return
    envelope = min_max_envelope(signal, max_points=_MAX_POINTS)
    x = (strip.left_mm + envelope.sample[0] / rate_hz * MM_A_SECOND) * MM
    if np.isnan(envelope.value).all():
        return
    height = (envelope.value[0] - np.nanmedian(envelope.value)) * MM_A_MILLIVOLT
    y = (strip.middle_mm + BASELINE_MM + height) * MM
    # what is far outside is cut off anyway, and a PDF has no room for any number
    y = np.clip(y, -10_000, 10_000)
    page.setStrokeColorRGB(*_INK)
    page.setLineWidth(0.5)
    page.setLineJoin(1)
    path, is_drawing = page.beginPath(), False
    for at, value in zip(x.tolist(), y.tolist(), strict=True):
        if np.isnan(value):
            is_drawing = False
        elif is_drawing:
            path.lineTo(at, value)
        else:
            path.moveTo(at, value)
            is_drawing = True
    page.drawPath(path)


def _draw_beats(
    page: Canvas, beats: BeatFindings, strip: Strip, *, span: tuple[int, int], rate_hz: float
) -> None:
    """A tick and the class of each beat, along the top of the strip."""
    begin, end = np.searchsorted(beats.sample, span)
    top = strip.middle_mm + strip.height_mm / 2
    page.setFont("Helvetica-Bold", 7)
    page.setLineWidth(0.8)
    for sample, label in zip(
        beats.sample[begin:end].tolist(), beats.labels[begin:end], strict=True
    ):
        x = strip.left_mm + (sample - span[0]) / rate_hz * MM_A_SECOND
        color = COLORS.get(label, _INK)
        page.setStrokeColorRGB(*color)
        page.setFillColorRGB(*color)
        _line(page, x, top - 5.5, x, top - 3.5)
        page.drawCentredString(x * MM, (top - 3) * MM, label[:1].upper())


def _line(page: Canvas, x1: float, y1: float, x2: float, y2: float) -> None:
    page.line(x1 * MM, y1 * MM, x2 * MM, y2 * MM)


def plain(text: str, longest: int) -> str:
    """Text that the standard fonts of a PDF can show."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    latin = shown.encode("latin-1", errors="replace").decode("latin-1")
    return latin if len(latin) <= longest else latin[: longest - 3] + "..."


def joined(names: Sequence[str], longest: int) -> str:
    """Names with commas between them, cut to a length."""
    return plain(", ".join(names), longest)
