"""The EC57 figures as a table for a terminal: plain text, percent."""

from __future__ import annotations

import math
from collections.abc import Iterator

from services.ecg.labels import AAMI_CLASSES
from services.evaluation.report import ClassificationTable, Figure, Table

WORST_RECORDS = 5


def table_text(table: Table, *, title: str) -> str:
    """The whole table, lines joined, no newline at the end."""
    return "\n".join(line.rstrip() for line in _lines(table, title))


def _lines(table: Table, title: str) -> Iterator[str]:
    yield title
    yield "=" * len(title)
    yield (
        f"{len(table.records)} records, {table.n_beats} beats, from {table.start_s / 60:g} min; "
        "percent; [95 % interval, bootstrap by patient]; (mean of the records)"
    )
    yield ""
    yield f"QRS  Se {_figure(table.detection_sensitivity, 2)}"
    yield f"QRS  +P {_figure(table.detection_predictivity, 2)}"
    yield from _worst(table)
    if table.classification:
        yield ""
        yield from _classes(table.classification)
    for caution in table.cautions:
        yield f"Note: {caution}"


def _worst(table: Table) -> Iterator[str]:
    worst = sorted(table.by_record, key=lambda row: -(row.missed + row.false))[:WORST_RECORDS]
    yield "Worst records: " + "; ".join(
        f"{row.record} Se {_percent(row.sensitivity, 2)} +P {_percent(row.predictivity, 2)}"
        f" ({row.missed} missed, {row.false} false)"
        for row in worst
    )


def _classes(table: ClassificationTable) -> Iterator[str]:
    yield f"{'':6}{'beats':>7}  {'Se':<28}{'+P':<28}{'F1':<28}"
    for row in table.classes:
        yield (
            f"{row.name:6}{row.n_beats:>7}  {_figure(row.sensitivity):<28}"
            f"{_figure(row.predictivity):<28}{_figure(row.f1):<28}"
        )
    for names, figure in table.macro_f1.items():
        yield f"macro-F1 over {names:<10} {_figure(figure)}"
    yield f"macro-F1 over N S V, F and Q beats left out: {_figure(table.three_class_macro_f1)}"
    forgiving = ", ".join(
        f"{name} {_percent(value)}" for name, value in table.aami_predictivity.items()
    )
    yield f"+P where F and Q called V, and Q called S, are no mistakes (EC57): {forgiving}"
    yield f"Accuracy over found beats {_percent(table.accuracy)}"
    yield ""
    yield from _confusion(table)


def _confusion(table: ClassificationTable) -> Iterator[str]:
    yield "reference \\ answer " + "".join(f"{name:>8}" for name in (*AAMI_CLASSES, "missed"))
    for name, row in zip((*AAMI_CLASSES, "false"), table.confusion, strict=True):
        cells = [f"{count:>8}" for count in row]
        if name == "false":
            cells[-1] = f"{'':>8}"
        yield f"{name:>18} " + "".join(cells)


def _figure(figure: Figure, digits: int = 1) -> str:
    interval = f"[{_percent(figure.low, digits)}, {_percent(figure.high, digits)}]"
    return f"{_percent(figure.gross, digits)} {interval} ({_percent(figure.average, digits)})"


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}" if math.isfinite(value) else "-"
