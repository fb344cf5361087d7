// How much of each class there is: numbers, shares and bars.

import { classesOf } from "../ecg/classes.js";
import { el } from "./dom.js";
import { count, trimmed } from "./format.js";
import { svg } from "./svg.js";
import { swatch } from "./swatch.js";

const BAR_PX = 160;
const OUTCOMES = { 0: "no atrial fibrillation followed", 1: "atrial fibrillation followed" };

/** counts: {class: number}, of beats or, for afib-5y, of records. */
export function classesTable(counts, what) {
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0);
  const beats = !("0" in counts && "1" in counts);
  const classes = beats ? classesOf(counts) : Object.keys(counts).map((label) => ({ label, name: OUTCOMES[label] ?? label }));
  const rows = classes.map((one) => {
    const part = total ? counts[one.label] / total : 0;
    return el("tr", {},
      el("th", { scope: "row" }, el("span", { class: "class-cell" }, beats ? swatch(one) : null, el("strong", { text: one.label }), ` ${one.name}`)),
      el("td", { class: "number", text: count(counts[one.label]) }),
      el("td", { class: "number", text: `${trimmed(100 * part, part > 0 && part < 0.01 ? 2 : 1)} %` }),
      el("td", { class: "bar-cell" }, bar(part, one.color)));
  });
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Counts by class" }, el("table", { class: "figures counts" },
    el("thead", {}, el("tr", {}, ["Class", what, "Share"].map((text) => el("th", { scope: "col", text })), el("td"))),
    el("tbody", {}, rows)));
}

function bar(part, color) {
  return svg("svg", { viewBox: `0 0 ${BAR_PX} 10`, width: BAR_PX, height: 10, "aria-hidden": "true", preserveAspectRatio: "none" },
    svg("rect", { class: "bar-all", width: BAR_PX, height: 10, rx: 2 }),
    svg("rect", { class: `bar-part ${color ?? ""}`, width: Math.max(part * BAR_PX, part > 0 ? 1.5 : 0), height: 10, rx: 2 }));
}
