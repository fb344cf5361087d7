// The figures of a run as they come, epoch by epoch: losses, what is measured, and all of it as a table.

import { CurveChart } from "./curve_chart.js";
import { el, fill } from "./dom.js";

const LABELS = {
  loss: "training loss", validation_loss: "validation loss", accuracy: "accuracy", macro_f1: "macro F1", auroc: "AUROC", brier: "Brier score",
};
const ORDER = ["macro_f1", "auroc", "validation_loss", "accuracy", "brier", "f1_N", "f1_S", "f1_V", "f1_F", "f1_Q", "f1_normal", "f1_abnormal"];
const COLORS = {
  loss: "ink", validation_loss: "class-v-line", macro_f1: "ink", accuracy: "muted", auroc: "class-n-line", brier: "class-v-line",
  f1_N: "class-n-line", f1_S: "class-s-line", f1_V: "class-v-line", f1_F: "class-f-line", f1_Q: "class-q-line",
  f1_normal: "class-n-line", f1_abnormal: "class-v-line",
};

export class RunCurves {
  #history = [];

  constructor(signal) {
    this.losses = new CurveChart({ title: "Loss", colors: COLORS, signal });
    this.figures = new CurveChart({ title: "On validation patients", colors: COLORS, signal });
    this.table = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Figures by epoch" });
    this.details = el("details", { class: "card padded", hidden: true, ontoggle: () => this.#showTable() }, el("summary", {}, "Epochs as a table"), this.table);
    this.waiting = el("p", { class: "hint", text: "The curves begin with the first epoch that is done." });
    this.element = el("div", { class: "run-curves" }, this.waiting, el("div", { class: "curves" }, this.losses.element, this.figures.element), this.details);
    this.#show();
  }

  /** history: entries of epochs, each {epoch, loss, metrics}. */
  set(history) {
    for (const entry of history) this.#history[entry.epoch - 1] = entry;
    this.#show();
  }

  get epochs() {
    return this.#history.filter(Boolean).length;
  }

  #show() {
    const rows = this.#history.filter(Boolean);
    this.waiting.hidden = rows.length > 0;
    this.details.hidden = rows.length === 0;
    const x = rows.map(({ epoch }) => epoch);
    const names = inOrder(rows.flatMap(({ metrics }) => Object.keys(metrics)));
    const series = (name) => ({ name, label: label(name), values: rows.map((row) => valueOf(row, name)) });
    const losses = ["loss", ...names.filter((name) => name.endsWith("loss"))];
    this.losses.show(x, rows.length ? losses.map(series) : []);
    this.figures.show(x, names.filter((name) => !name.endsWith("loss")).map(series));
    this.names = [...losses, ...names.filter((name) => !name.endsWith("loss"))];
    this.#showTable();
  }

  #showTable() {
    if (!this.details.open) return;
    const rows = this.#history.filter(Boolean);
    fill(this.table, el("table", { class: "figures" },
      el("thead", {}, el("tr", {}, ["Epoch", ...this.names.map(label)].map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row", text: String(row.epoch) }),
        this.names.map((name) => el("td", { text: valueOf(row, name)?.toFixed(4) ?? "–" })))))));
  }
}

/** The names of figures, the telling ones first. */
export function inOrder(names) {
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return [...new Set(names)].sort((a, b) => place(a) - place(b));
}

function valueOf(row, name) {
  const value = name === "loss" ? row.loss : row.metrics[name];
  return Number.isFinite(value) ? value : null;
}

export function label(name) {
  return LABELS[name] ?? (name.startsWith("f1_") ? `F1 ${name.slice(3)}` : name.replaceAll("_", " "));
}
