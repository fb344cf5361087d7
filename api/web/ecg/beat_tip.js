// What is known of a beat: beside it for the one under the pointer, in a line below the trace for the
// chosen one, so that it hides no neighbor.

import { el, fill } from "../parts/dom.js";
import { clock } from "../parts/format.js";
import { swatch } from "../parts/swatch.js";

export class BeatTip {
  #hovered = -1;
  #shown = -1;

  constructor(reading) {
    this.reading = reading;
    this.element = el("div", { class: "tip", hidden: true });
    this.line = el("div", { class: "beat-line", hidden: true });
    for (const what of ["selected", "content"]) reading.addEventListener(what, () => this.#sayChosen());
  }

  hover(i) {
    this.#hovered = i;
    if (i < 0) this.element.hidden = true;
  }

  /** Beside the beat, inside the trace. */
  place(trace) {
    const { beats } = this.reading;
    const i = this.#hovered;
    const x = beats && i >= 0 ? trace.xOf(beats.time[i]) : -1;
    this.element.hidden = x < trace.width - trace.plotWidth || x > trace.width;
    if (this.element.hidden) return;
    if (i !== this.#shown || this.content !== beats) this.#say(i);
    const wide = this.element.offsetWidth;
    const left = x + 16 + wide > trace.width ? x - wide - 16 : x + 16;
    this.element.style.transform = `translate(${Math.max(left, 0)}px, 4px)`;
  }

  #sayChosen() {
    const { beats, selected } = this.reading;
    this.line.hidden = !beats || selected < 0;
    if (!this.line.hidden) fill(this.line, named(beats.classOf(selected)), rows(beats, selected));
  }

  #say(i) {
    const { beats } = this.reading;
    this.#shown = i;
    this.content = beats;
    fill(
      this.element,
      named(beats.classOf(i)),
      rows(beats, i),
      beats.unreadable[i] ? el("p", { class: "tip-note", text: "Signal too poor to judge here" }) : null,
    );
  }
}

function named(one) {
  return el("p", { class: "tip-class" }, swatch(one), el("strong", { text: one.label }), ` ${one.name}`);
}

function rows(beats, i) {
  const others = Object.entries(beats.probabilities[i] ?? {})
    .filter(([label]) => label !== beats.classOf(i).label)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 2)
    .map(([label, p]) => `${label} ${p.toFixed(2)}`);
  return el(
    "dl",
    {},
    pair("Probability", beats.probability[i].toFixed(3)),
    others.length ? pair("Then", others.join(", ")) : null,
    pair("RR before", interval(beats.rrBefore(i))),
    pair("RR after", interval(beats.rrAfter(i))),
    pair("Time", clock(beats.time[i], 2)),
  );
}

function pair(term, value) {
  return el("div", {}, el("dt", { text: term }), el("dd", { text: value }));
}

export function interval(seconds) {
  return seconds === null ? "–" : `${Math.round(seconds * 1000)} ms`;
}

/** The same in one sentence, for a screen reader. */
export function spoken(beats, i) {
  const before = beats.rrBefore(i);
  return [
    `${beats.classOf(i).label} beat at ${clock(beats.time[i], 2)}`,
    `probability ${beats.probability[i].toFixed(2)}`,
    before === null ? "first beat" : `RR before ${interval(before)}, after ${interval(beats.rrAfter(i))}`,
    beats.unreadable[i] ? "signal too poor to judge" : null,
  ].filter(Boolean).join(", ");
}
