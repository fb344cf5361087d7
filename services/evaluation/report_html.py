"""A report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from services.evaluation.report_svg import (
    class_bars_svg,
    confusion_svg,
    interval_text,
    legend_svg,
    reliability_svg,
    roc_svg,
)

_FIGURE_NAMES = {
    "sensitivity": "Sensitivity",
    "positive_predictivity": "Positive predictivity",
    "f1": "F1",
    "macro_f1": "macro-F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
}
_RISK_FIGURES = ("auroc", "auprc", "brier", "calibration_error")
_AT_THRESHOLD = ("sensitivity", "specificity", "positive_predictivity", "negative_predictivity")

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6675;--line:#d5dae1;--page:#fbfcfd;
--card:#fff;--m0:#0b63c5;--m1:#b04a00;--m2:#12795b;--right:#0b63c5;--wrong:#b04a00;--warn:#fff4dc;
--warn-ink:#5a3d00}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#37414f;--page:#12161c;
--card:#1a2029;--m0:#6aaeff;--m1:#ff9d5c;--m2:#4fd0a5;--right:#4b93e8;--wrong:#e08344;
--warn:#3a2d10;--warn-ink:#ffe3a8}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:70rem;font:15px/1.5 system-ui,sans-serif;
color:var(--ink);background:var(--page)}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:.75rem 0 .25rem}p{margin:.25rem 0 .75rem}.soft{color:var(--soft)}
.cautions{background:var(--warn);color:var(--warn-ink);border-radius:6px;padding:.6rem 1rem}
.cautions ul{margin:.25rem 0;padding-left:1.2rem}
.row{display:flex;flex-wrap:wrap;gap:1rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.75rem 1rem;
overflow-x:auto;max-width:100%;width:fit-content}
details{margin-top:.75rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .75rem .25rem 0;text-align:left;border-bottom:1px solid var(--line);
white-space:nowrap}
td.n,th.n{text-align:right}
svg{max-width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--ink)}
svg .axis{fill:var(--soft)}svg .grid{stroke:var(--line);stroke-width:1}
svg .diagonal{stroke:var(--soft);stroke-dasharray:4 4}
svg .right{fill:var(--right)}svg .wrong{fill:var(--wrong)}svg .count.strong{fill:#fff}
svg .curve{fill:none;stroke-width:2}svg .curve.thin{stroke-width:1;opacity:.6}
svg .whisker{stroke-width:2;opacity:.55}svg .mark{stroke:var(--card);stroke-width:1}
.m0{stroke:var(--m0)}.m1{stroke:var(--m1)}.m2{stroke:var(--m2)}
.mark.m0{fill:var(--m0)}.mark.m1{fill:var(--m1)}.mark.m2{fill:var(--m2)}
svg.key{vertical-align:-2px;margin-right:.3rem}
@media(prefers-color-scheme:dark){svg .count.strong{fill:#0d1117}}
@media print{body{max-width:none}.card{break-inside:avoid}}
"""


def report_html(report: dict[str, Any], *, title: str = "Evaluation") -> str:
    """The page of a report of `beat_report` or `risk_report`."""
    body = _beats(report) if report["task"] == "beats" else _risks(report)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{_head(report)}{''.join(body)}"
        '<p class="soft">Research use only. Not a medical device.</p></main></body></html>\n'
    )


def _head(report: dict[str, Any]) -> str:
    counted = (
        f"{report['beats']:,} beats"
        if report["task"] == "beats"
        else (f"{report['events']:,} with the event")
    )
    drawn = report["bootstrap"]
    parts = [
        f"<p>{report['records']:,} records of {report['patients']:,} patients whom training never "
        f"saw, {counted}. In brackets: 95&nbsp;% intervals, {drawn['draws']:,} bootstrap samples "
        "of the patients.</p>"
    ]
    if report["cautions"]:
        lines = "".join(f"<li>{escape(caution)}</li>" for caution in report["cautions"])
        parts.append(f'<div class="cautions"><strong>Read with care</strong><ul>{lines}</ul></div>')
    return "".join(parts) + _verdicts(report)


def _verdicts(report: dict[str, Any]) -> str:
    if not report["differences"]:
        return ""
    rows = [
        (
            escape(_FIGURE_NAMES.get(each["figure"], each["figure"])),
            f"{escape(each['against'])} <span class=soft>({escape(each['role'])})</span>",
            interval_text(each["difference"], percent=False, digits=3),
            f"<strong>{escape(each['verdict'])}</strong>",
        )
        for each in report["differences"]
    ]
    heads = ("Figure", "Compared with", "Difference", "The new model is")
    return "<h2>Against the others, on the same patients</h2>" + _card(_table(heads, rows))


def _beats(report: dict[str, Any]) -> Iterator[str]:
    models = report["models"]
    yield "<h2>All classes together</h2>"
    rows = [
        (
            _named(number, model),
            interval_text(model["macro_f1"]),
            interval_text(model["detection"]["sensitivity"], digits=2),
            interval_text(model["detection"]["positive_predictivity"], digits=2),
            _percent(model["accuracy"]),
        )
        for number, model in enumerate(models)
    ]
    heads = ("Model", "macro-F1", "Beats found (Se)", "Detections right (+P)", "Labels right")
    yield _card(_table(heads, rows))
    yield "<h2>Each class</h2><div class=row>"
    for figure in ("sensitivity", "positive_predictivity", "f1"):
        name = _FIGURE_NAMES[figure]
        plot = class_bars_svg(models, figure=figure, title=f"{name} of each class by model")
        yield f"<div class=card><h3>{name}</h3>{plot}</div>"
    yield "</div>"
    yield _class_table(models)
    yield "<h2>Confusion matrices</h2><p class=soft>Rows: the reference. Columns: the answer.</p>"
    yield "<div class=row>"
    for number, model in enumerate(models):
        plot = confusion_svg(model["confusion"], title=f"Confusion matrix of {model['name']}")
        yield f"<div class=card><h3>{_named(number, model)}</h3>{plot}</div>"
    yield "</div>"
    yield _record_table(report)


def _class_table(models: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            escape(row["label"]),
            f"{row['beats']:,}",
            _named(number, model),
            interval_text(row["sensitivity"]),
            interval_text(row["positive_predictivity"]),
            interval_text(row["f1"]),
        )
        for at in range(len(models[0]["per_class"]))
        for number, model in enumerate(models)
        for row in (model["per_class"][at],)
    ]
    heads = ("Class", "Beats", "Model", "Se", "+P", "F1")
    return f"<details><summary>As a table</summary>{_card(_table(heads, rows))}</details>"


def _record_table(report: dict[str, Any]) -> str:
    """Each record under the first model."""
    model = report["models"][0]
    rows = [
        (
            escape(row["name"]),
            escape(row["patient"]),
            f"{row['beats']:,}",
            f"{row['missed']:,}",
            f"{row['false']:,}",
            _percent(row["accuracy"]),
            *(_percent(row["f1"][name]) for name in report["classes"]),
        )
        for row in model["by_record"]
    ]
    heads = ("Record", "Patient", "Beats", "Missed", "False", "Labels right")
    f1_heads = [f"F1 {name}" for name in report["classes"]]
    return f"<h2>Each record, {escape(model['name'])}</h2>" + _card(
        _table([*heads, *f1_heads], rows)
    )


def _risks(report: dict[str, Any]) -> Iterator[str]:
    models = report["models"]
    yield "<h2>Figures</h2>"
    rows = [
        (
            _named(number, model),
            *(interval_text(model[name], percent=False, digits=3) for name in _RISK_FIGURES),
        )
        for number, model in enumerate(models)
    ]
    yield _card(_table(("Model", *(_FIGURE_NAMES[name] for name in _RISK_FIGURES)), rows))
    yield "<h2>Ranking and calibration</h2><div class=row>"
    yield f"<div class=card><h3>ROC curve</h3>{roc_svg(models)}</div>"
    yield f"<div class=card><h3>Reliability</h3>{reliability_svg(models)}</div></div>"
    yield "<h2>Thresholds</h2><div class=row>"
    for number, model in enumerate(models):
        yield f"<div class=card><h3>{_named(number, model)}</h3>{_thresholds(model)}</div>"
    yield "</div>"


def _thresholds(model: dict[str, Any]) -> str:
    rows = [
        (
            f"<strong>{row['threshold']:.3g}</strong> (its own)"
            if row["threshold"] == model["threshold"]
            else f"{row['threshold']:.3g}",
            f"{row['flagged']:,}",
            *(_with_interval(row, name) for name in _AT_THRESHOLD),
        )
        for row in model["thresholds"]
    ]
    return _table(("From risk", "Flagged", "Se", "Sp", "PPV", "NPV"), rows)


def _named(number: int, model: dict[str, Any]) -> str:
    return (
        f"{legend_svg(number)}{escape(model['name'])} "
        f"<span class=soft>({escape(model['role'])})</span>"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _with_interval(row: dict[str, Any], name: str) -> str:
    """Reports of earlier releases have none."""
    none = {"low": None, "high": None}
    return interval_text({"value": row[name]} | row.get("intervals", {}).get(name, none))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already; everything but the first column is a figure."""
    head = "".join(f"<th scope=col>{name}</th>" for name in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _card(content: str) -> str:
    return f"<div class=card>{content}</div>"
