"""The plots of a report as inline SVG: no script, colors from the page's own style.

A model is told by its color, its shape and a line of the legend; every plot has a text for those
who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

MARKS = ("circle", "square", "diamond")
_SIZE, _LEFT, _BOTTOM, _TOP, _RIGHT = 330.0, 56.0, 44.0, 12.0, 14.0


def confusion_svg(confusion: dict[str, Any], *, title: str) -> str:
    """The matrix with its counts; a cell is as strong as its share of its row."""
    rows, columns, counts = confusion["rows"], confusion["columns"], confusion["counts"]
    cell_w, cell_h, left, top = 64, 34, 108, 44
    width, height = left + cell_w * len(columns) + 4, top + cell_h * len(rows) + 4
    parts = [
        f'<text class="axis" x="{left + cell_w * len(columns) / 2:g}" y="14" '
        'text-anchor="middle">answer</text>'
    ]
    for at, name in enumerate(columns):
        x = left + cell_w * (at + 0.5)
        parts.append(f'<text x="{x:g}" y="34" text-anchor="middle">{escape(name)}</text>')
    for row, (name, line) in enumerate(zip(rows, counts, strict=True)):
        y = top + cell_h * row
        parts.append(f'<text x="{left - 8}" y="{y + 22:g}" text-anchor="end">{escape(name)}</text>')
        parts += _cells(line, row, left, y, (cell_w, cell_h), len(rows))
    return _svg(width, height, title, "".join(parts))


def _cells(
    line: Sequence[int], row: int, left: float, y: float, size: tuple[int, int], n_rows: int
) -> Iterator[str]:
    whole = sum(line)
    for column, count in enumerate(line):
        if row == n_rows - 1 and column == len(line) - 1:
            continue  # no beat and no detection: nothing to count
        share = count / whole if whole else 0.0
        kind = "right" if row == column else "wrong"
        x = left + size[0] * column
        strong = " strong" if share > 0.5 else ""
        yield (
            f'<rect class="{kind}" x="{x + 1:g}" y="{y + 1:g}" width="{size[0] - 2}" '
            f'height="{size[1] - 2}" rx="3" fill-opacity="{0.06 + 0.84 * share:.2f}"/>'
            f'<text class="count{strong}" x="{x + size[0] / 2:g}" y="{y + 22:g}" '
            f'text-anchor="middle">{count:,}</text>'
        )


def class_bars_svg(models: Sequence[dict[str, Any]], *, figure: str, title: str) -> str:
    """One row of marks a class: each model's figure with its interval, from 0 to 100 %."""
    classes = [row["label"] for row in models[0]["per_class"]]
    left, width, step = 70.0, 318.0, 14.0 * len(models) + 14
    height = 26 + step * len(classes) + 26
    scale = width - left - 26
    parts = [_percent_axis(left, 10, scale, height - 36)]
    for row, name in enumerate(classes):
        middle = 16 + step * (row + 0.5)
        parts.append(
            f'<text x="{left - 10:g}" y="{middle + 4:g}" text-anchor="end">{escape(name)}</text>'
        )
        for number, model in enumerate(models):
            y = middle + 14 * (number - (len(models) - 1) / 2)
            found = model["per_class"][row][figure]
            parts.append(_interval_mark(found, number, left, scale, y, model["name"]))
    return _svg(width, height, title, "".join(parts))


def _percent_axis(left: float, top: float, scale: float, bottom: float) -> str:
    lines = []
    for percent in (0, 25, 50, 75, 100):
        x = left + scale * percent / 100
        lines.append(
            f'<line class="grid" x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{bottom:g}"/>'
            f'<text class="axis" x="{x:g}" y="{bottom + 18:g}" text-anchor="middle">{percent}'
            f"{' %' if percent == 100 else ''}</text>"
        )
    return "".join(lines)


def _interval_mark(
    found: dict[str, Any], number: int, left: float, scale: float, y: float, name: str
) -> str:
    if found["value"] is None:
        return f'<text class="axis" x="{left + 4:g}" y="{y + 4:g}">none</text>'
    value = left + scale * found["value"]
    line = ""
    if found["low"] is not None:
        x1, x2 = left + scale * found["low"], left + scale * found["high"]
        line = (
            f'<line class="m{number} whisker" x1="{x1:.1f}" y1="{y:g}" x2="{x2:.1f}" y2="{y:g}"/>'
        )
    told = f"<title>{escape(name)}: {interval_text(found)}</title>"
    return f"<g>{told}{line}{_mark(number, value, y)}</g>"


def _mark(number: int, x: float, y: float, size: float = 4.5) -> str:
    shape = MARKS[number % len(MARKS)]
    css = f'class="m{number} mark"'
    if shape == "circle":
        return f'<circle {css} cx="{x:.1f}" cy="{y:.1f}" r="{size:g}"/>'
    if shape == "square":
        return (
            f'<rect {css} x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size:g}" '
            f'height="{2 * size:g}"/>'
        )
    reach = 1.3 * size
    return (
        f'<path {css} d="M{x:.1f} {y - reach:.1f}l{reach:.1f} {reach:.1f}l{-reach:.1f} {reach:.1f}'
        f'l{-reach:.1f} {-reach:.1f}z"/>'
    )


def legend_svg(number: int) -> str:
    """The mark of a model, for a line of text."""
    return f'<svg class="key" width="14" height="14" aria-hidden="true">{_mark(number, 7, 7)}</svg>'


def roc_svg(models: Sequence[dict[str, Any]]) -> str:
    """Sensitivity against 1 - specificity, a line a model."""
    lines = [_diagonal()]
    for number, model in enumerate(models):
        points = " ".join(f"{_x(fpr):.1f},{_y(tpr):.1f}" for fpr, tpr in model["roc"])
        lines.append(f'<polyline class="m{number} curve" points="{points}"/>')
    body = _square_axes("1 - specificity", "sensitivity") + "".join(lines)
    return _svg(_SIZE, _SIZE, "ROC curve of each model", body)


def reliability_svg(models: Sequence[dict[str, Any]]) -> str:
    """What came against what was said, by groups of like risk; a perfect model is the diagonal."""
    lines = [_diagonal()]
    for number, model in enumerate(models):
        rows = model["calibration"]
        points = " ".join(f"{_x(r['mean_risk']):.1f},{_y(r['observed']):.1f}" for r in rows)
        lines.append(f'<polyline class="m{number} curve thin" points="{points}"/>')
        for row in rows:
            x = _x(row["mean_risk"])
            text = (
                f"{model['name']}: said {row['mean_risk']:.3f}, came {row['observed']:.3f} "
                f"of {row['records']} records"
            )
            lines.append(
                f"<g><title>{escape(text)}</title>"
                f'<line class="m{number} whisker" x1="{x:.1f}" y1="{_y(row["low"]):.1f}" '
                f'x2="{x:.1f}" y2="{_y(row["high"]):.1f}"/>'
                f"{_mark(number, x, _y(row['observed']), 3.5)}</g>"
            )
    body = _square_axes("risk that was given", "share that had the event") + "".join(lines)
    return _svg(_SIZE, _SIZE, "Reliability of each model: events against the risk given", body)


def interval_text(found: dict[str, Any], *, percent: bool = True, digits: int = 1) -> str:
    """`93.1 % [91.0, 95.2]`, or `-`."""
    if found["value"] is None:
        return "-"
    times, sign = (100, " %") if percent else (1, "")
    text = f"{times * found['value']:.{digits}f}{sign}"
    if found["low"] is None:
        return text
    return f"{text} [{times * found['low']:.{digits}f}, {times * found['high']:.{digits}f}]"


def _x(share: float) -> float:
    return _LEFT + (_SIZE - _LEFT - _RIGHT) * share


def _y(share: float) -> float:
    return _SIZE - _BOTTOM - (_SIZE - _BOTTOM - _TOP) * share


def _diagonal() -> str:
    return f'<line class="diagonal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'


def _square_axes(x_label: str, y_label: str) -> str:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        text = f"{share:g}"
        parts.append(
            f'<line class="grid" x1="{_x(0):g}" y1="{_y(share):g}" x2="{_x(1):g}" '
            f'y2="{_y(share):g}"/>'
            f'<line class="grid" x1="{_x(share):g}" y1="{_y(0):g}" x2="{_x(share):g}" '
            f'y2="{_y(1):g}"/>'
            f'<text class="axis" x="{_x(share):g}" y="{_y(0) + 14:g}" '
            f'text-anchor="middle">{text}</text>'
            f'<text class="axis" x="{_x(0) - 6:g}" y="{_y(share) + 4:g}" '
            f'text-anchor="end">{text}</text>'
        )
    parts.append(
        f'<text class="axis" x="{_x(0.5):g}" y="{_SIZE - 8:g}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
        f'<text class="axis" transform="translate(11 {_y(0.5):g}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return "".join(parts)


def _svg(width: float, height: float, title: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {math.ceil(width)} {math.ceil(height)}" width="{math.ceil(width)}" '
        f'role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>{body}</svg>'
    )
