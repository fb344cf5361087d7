// Risk: whether it ranks (AUROC, AUPRC) and whether it means what it says (Brier score, reliability curve).

import { el } from "./dom.js";
import { count } from "./format.js";
import { interval, reportTable, unitPlot } from "./report_figures.js";
import { svg } from "./svg.js";

const MEASURES = [
  { key: "auroc", title: "AUROC" },
  { key: "auprc", title: "AUPRC" },
  { key: "brier", title: "Brier score" },
  { key: "calibration_error", title: "Calibration error" },
];

export function riskParts(report) {
  return [overall(report), el("div", { class: "bar-charts" }, reliability(report), roc(report)), calibration(report), thresholds(report)];
}

function overall({ models }) {
  return reportTable("In all", ["", ...MEASURES.map(({ title }) => title), "Threshold"],
    models.map((model) => [model.name, ...MEASURES.map(({ key }) => interval(model[key])), model.threshold?.toFixed(3) ?? "–"]));
}

/** What was said against what came; the larger the point, the more records. */
function reliability({ models, records }) {
  const draw = (x, y) => models.flatMap(({ calibration: bins }, i) => [
    svg("path", { class: `line m${i}`, d: lineOf(bins.map(({ mean_risk, observed }) => [x(mean_risk), y(observed)])) }),
    ...bins.flatMap(({ mean_risk, observed, low, high, records: n }) => [
      i === 0 && low !== null ? svg("path", { class: "whisker", d: `M${x(mean_risk)} ${y(low)}V${y(high)}` }) : null,
      svg("circle", { class: `point m${i}`, cx: x(mean_risk), cy: y(observed), r: 2.5 + 6 * Math.sqrt(n / records) }),
    ]),
  ]);
  return unitPlot({ title: "Reliability", across: "risk that was said", up: "share with the event", draw });
}

function roc({ models }) {
  const draw = (x, y) => models.map(({ roc: points }, i) => svg("path", { class: `line m${i}`, d: lineOf(points.map(([false_rate, true_rate]) => [x(false_rate), y(true_rate)])) }));
  return unitPlot({ title: "ROC", across: "1 − specificity", up: "sensitivity", draw });
}

function lineOf(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

function calibration({ models }) {
  const rows = models.flatMap((model) => model.calibration.map((bin) =>
    [model.name, count(bin.records), bin.mean_risk.toFixed(3), interval({ value: bin.observed, low: bin.low, high: bin.high })]));
  return el("details", {}, el("summary", { text: "Reliability as a table" }), reportTable("Reliability", ["", "Records", "Mean risk", "With the event"], rows));
}

function thresholds({ models }) {
  const [model] = models;
  const none = { low: null, high: null }; // in reports of earlier releases
  const share = (row, key) => interval({ value: row[key], ...(row.intervals?.[key] ?? none) });
  const rows = model.thresholds.map((row) => [row.threshold.toFixed(3) + (row.threshold === model.threshold ? " (its own)" : ""), count(row.flagged),
    ...["sensitivity", "specificity", "positive_predictivity", "negative_predictivity"].map((key) => share(row, key))]);
  return el("details", {}, el("summary", { text: `At other thresholds, ${model.name}` }),
    reportTable("Thresholds", ["Threshold", "Flagged", "Sensitivity", "Specificity", "Positive predictivity", "Negative predictivity"], rows));
}
