// The five-year risk of atrial fibrillation: figure, threshold, windows, what it rests on.

import { versionHref } from "../views/models.js";
import { announce } from "./announce.js";
import { el, fill } from "./dom.js";
import { clock } from "./format.js";
import { svg } from "./svg.js";

const SCALE = { width: 260, height: 34, bar: 12 };

export class RiskPanel {
  /** go(seconds): brings a window of the record into sight. */
  constructor(go) {
    this.go = go;
    this.element = el("section", { class: "card risk", "aria-label": "AFIB-5Y risk", hidden: true });
  }

  /** prediction: succeeded, of the task afib-5y. */
  show(prediction) {
    const { result, model } = prediction;
    const high = result.label === "high";
    this.element.hidden = false;
    fill(
      this.element,
      el("h2", { text: "Five-year AF risk" }),
      result.synthetic ? el("p", { class: "notice small", text: "Weights made by formula, for tests. They have learned nothing: this figure is not a risk." }) : null,
      el("p", { class: "risk-figure" }, el("strong", { text: percent(result.risk) }),
        el("span", { class: `risk-label ${high ? "high" : "low"}`, text: high ? "▲ high" : "▽ low" })),
      scale(result),
      el("p", { class: "hint", text: `${high ? "At or above" : "Below"} the threshold of ${percent(result.threshold)}.` }),
      el("p", { class: result.calibrated ? "hint" : "notice small",
        text: result.calibrated ? "Calibrated on the outcomes that the model's card names." : "Not calibrated: ranks patients, but is no measured frequency." }),
      this.#windows(result),
      el("dl", { class: "facts" },
        el("div", {}, el("dt", { text: "Logit" }), el("dd", { text: result.logit.toFixed(3) })),
        el("div", {}, el("dt", { text: "Model" }), el("dd", {}, el("a", { href: versionHref(model.name, model.version), text: `${model.name}@${model.version}` })))),
      notes(result.notes),
      el("div", { class: "downloads" },
        el("a", { class: "button", href: `v1/predictions/${prediction.id}/report.pdf`, download: true, text: "PDF report" }),
        el("a", { class: "button", href: `v1/predictions/${prediction.id}/fhir`, download: true, text: "FHIR" })),
      el("p", { class: "research", text: "Research use only. Not a medical device." }),
    );
    announce(`Risk ${percent(result.risk)}, ${result.label}, by ${model.name} version ${model.version}`);
  }

  /** Of a record longer than a window: each window's own risk. */
  #windows({ windows, threshold }) {
    if (windows.length < 2) return null;
    const button = ({ start_s, risk }) =>
      el("li", {}, el("button", { type: "button", class: risk >= threshold ? "above" : null, onclick: () => this.go(start_s),
        title: "Show this window", text: `${clock(start_s)}  ${percent(risk)}` }));
    return el("details", { class: "risk-windows" }, el("summary", { text: `${windows.length} windows` }), el("ul", { class: "plain" }, windows.map(button)));
  }
}

/** The risk on a line from 0 to 100 %, with the threshold marked. */
function scale({ risk, threshold, label }) {
  const { width, height, bar } = SCALE;
  const x = (part) => 1 + part * (width - 2);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "risk-scale", role: "img",
    "aria-label": `${percent(risk)} on a scale from 0 to 100 %, threshold ${percent(threshold)}` },
    svg("rect", { class: "risk-all", x: x(0), y: 0, width: x(1) - x(0), height: bar, rx: 3 }),
    svg("rect", { class: `risk-part ${label}`, x: x(0), y: 0, width: Math.max(x(risk) - x(0), 1), height: bar, rx: 3 }),
    svg("path", { class: "risk-threshold", d: `M${x(threshold)} 0V${bar + 5}` }),
    svg("text", { x: Math.max(x(threshold), 50), y: height - 4, "text-anchor": "middle", text: `threshold ${percent(threshold)}` }));
}

function notes(found = []) {
  if (!found.length) return null;
  return el("details", { class: "risk-notes" }, el("summary", { text: "What it rests on" }),
    el("ul", {}, found.map((text) => el("li", { text }))));
}

function percent(part) {
  return `${(100 * part).toFixed(1)} %`;
}
