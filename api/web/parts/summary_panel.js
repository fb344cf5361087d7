// Beside the trace: how many of each class (and which are shown), heart rate, leads, model, downloads.

import { el, fill } from "./dom.js";
import { count, trimmed } from "./format.js";
import { swatch } from "./swatch.js";
import { versionHref } from "../views/models.js";

export class SummaryPanel {
  constructor(reading, jumps) {
    Object.assign(this, { reading, jumps });
    this.element = el("section", { class: "card summary", "aria-label": "Beats", hidden: true });
    reading.addEventListener("classes", () => this.#markShown());
  }

  /** prediction: succeeded, with its beats. */
  show(prediction) {
    const { result, model } = prediction;
    this.element.hidden = false;
    this.legend = el("ul", { class: "legend" }, this.reading.classes.map((one, i) => this.#row(one, i, result.counts)));
    fill(
      this.element,
      el("div", { class: "card-head" }, el("h2", { text: "Beats" }), el("span", { class: "hint", text: `${count(this.reading.beats.length)} in all` })),
      this.legend,
      figures(this.reading.beats, result, model),
      (result.notes ?? []).map((note) => el("p", { class: "notice small", text: note })),
      downloads(prediction),
      el("p", { class: "research", text: "Research use only. Not a medical device." }),
    );
    this.#markShown();
  }

  #row(one, i, counts) {
    const toggle = el(
      "button",
      { type: "button", class: "legend-class", onclick: () => this.reading.toggleClass(i), title: "Show or hide" },
      swatch(one),
      el("span", { class: "legend-label" }, el("strong", { text: one.label }), " ", one.name),
      el("span", { class: "legend-count", text: count(counts[one.label]) }),
    );
    const next = el("button", { type: "button", class: "quiet icon", text: "›", title: `Next ${one.label} beat`, "aria-label": `Next ${one.label} beat`,
      disabled: !counts[one.label], onclick: () => this.jumps.toClass(one.label, 1) });
    return el("li", {}, toggle, next);
  }

  #markShown() {
    const buttons = this.legend?.querySelectorAll(".legend-class") ?? [];
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(this.reading.isClassShown(i))));
  }
}

function figures(beats, result, model) {
  const rate = result.mean_heart_rate_bpm;
  const unreadable = result.unreadable_beats ?? 0;
  const range = rates(beats);
  return el(
    "dl",
    { class: "facts" },
    el("div", { class: "rate" }, el("dt", { text: "Heart rate, mean" }),
      el("dd", {}, el("strong", { text: rate === null ? "–" : String(Math.round(rate)) }), " /min")),
    range ? fact("Beat to beat", `${range.low} to ${range.high} /min`) : null,
    fact("Leads read", result.leads_used.join(", ")),
    unreadable ? fact("Unreadable beats", `${count(unreadable)} (marked ?)`) : null,
    fact("Model", el("a", { href: versionHref(model.name, model.version), text: `${model.name}@${model.version}` })),
  );
}

/** Of nearly all intervals: the 1st and the 99th of a hundred. */
function rates(beats) {
  if (beats.length < 10) return null;
  const rr = Array.from({ length: beats.length - 1 }, (_, i) => beats.rrAfter(i)).sort((a, b) => a - b);
  const at = (part) => trimmed(60 / rr[Math.round(part * (rr.length - 1))], 0);
  return { low: at(0.99), high: at(0.01) };
}

function fact(term, value) {
  return el("div", {}, el("dt", { text: term }), el("dd", {}, value));
}

function downloads(prediction) {
  const link = (file, text) => el("a", { class: "button", href: `v1/predictions/${prediction.id}/${file}`, download: true, text });
  return el(
    "div",
    { class: "downloads" },
    link("beats.csv", "Beats as CSV"),
    link("annotations.zip", "WFDB annotations"),
    link("report.pdf", "PDF report"),
    link("record?format=edf", "EDF+ with beats"),
    link("fhir", "FHIR"),
  );
}
