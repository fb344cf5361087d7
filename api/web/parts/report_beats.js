// Beats: each class by model with intervals, the confusion matrix, every record.

import { el, fill } from "./dom.js";
import { count } from "./format.js";
import { groupedBars, interval, reportTable } from "./report_figures.js";

const MEASURES = [
  { key: "f1", title: "F1" },
  { key: "sensitivity", title: "Sensitivity" },
  { key: "positive_predictivity", title: "Positive predictivity" },
];

export function beatParts(report) {
  return [overall(report), el("h3", { text: "By class" }), bars(report), classes(report), confusion(report), byRecord(report)];
}

function overall({ models }) {
  return reportTable("In all", ["", "Macro F1", "Accuracy", "R peaks found (sensitivity)", "R peaks right (positive predictivity)"],
    models.map((model) => [model.name, interval(model.macro_f1), model.accuracy?.toFixed(3) ?? "–",
      interval(model.detection.sensitivity), interval(model.detection.positive_predictivity)]));
}

function bars({ models, classes: labels }) {
  return el("div", { class: "bar-charts" }, MEASURES.map(({ key, title }) =>
    groupedBars(labels.map((name, i) => ({ name, bars: models.map((model) => model.per_class[i][key]) })), { title })));
}

function classes({ models, classes: labels }) {
  const rows = labels.flatMap((name, i) => models.map((model) => {
    const found = model.per_class[i];
    return [`${name} · ${model.name}`, count(found.beats), ...MEASURES.map(({ key }) => interval(found[key]))];
  }));
  return el("details", {}, el("summary", { text: "The same as a table" }), reportTable("By class", ["", "Beats", ...MEASURES.map(({ title }) => title)], rows));
}

/** One model's at a time, shaded by its share of the row. */
function confusion({ models }) {
  const place = el("div", {});
  const buttons = models.map((model, i) => el("button", { type: "button", text: model.name, onclick: () => show(i) }));
  const show = (chosen) => {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
    fill(place, matrix(models[chosen].confusion));
  };
  show(0);
  return el("div", { class: "confusion-part" }, el("div", { class: "card-head" }, el("h3", { text: "Confusion matrix" }),
    models.length > 1 ? el("div", { class: "segments", role: "group", "aria-label": "Model" }, buttons) : null), place);
}

function matrix({ rows, columns, counts }) {
  const cellOf = (value, row, column, total) => {
    const part = total ? value / total : 0;
    const kind = row === column ? "right" : "wrong";
    return el("td", { class: `heat ${kind} h${Math.ceil(part * 8)}`, text: count(value), title: `${rows[row]} read as ${columns[column]}: ${(100 * part).toFixed(1)} % of the row` });
  };
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" }, el("table", { class: "figures matrix" },
    el("caption", { text: "Rows: the reference. Columns: the model." }),
    el("thead", {}, el("tr", {}, el("td"), columns.map((text) => el("th", { scope: "col", text })))),
    el("tbody", {}, counts.map((row, i) => {
      const total = row.reduce((sum, one) => sum + one, 0);
      return el("tr", {}, el("th", { scope: "row", text: rows[i] }), row.map((value, j) => cellOf(value, i, j, total)));
    }))));
}

function byRecord({ models, classes: labels }) {
  const [model] = models;
  const rows = model.by_record.map((one) => [el("a", { href: `#/records/${one.record_id}`, text: one.name }), one.patient, count(one.beats),
    count(one.missed), count(one.false), one.accuracy?.toFixed(3) ?? "–", ...labels.map((name) => one.f1[name]?.toFixed(3) ?? "–")]);
  return el("details", {}, el("summary", { text: `Every tested record, ${model.name}` }),
    reportTable("By record", ["Record", "Patient", "Beats", "Missed", "False", "Accuracy", ...labels.map((name) => `F1 ${name}`)], rows));
}
