// The trace: a strip a lead, letters above, time below; draws what is seen, once a frame.

import { el } from "../parts/dom.js";
import { clock, trimmed } from "../parts/format.js";
import { color, themeChanges } from "../parts/theme.js";
import { CanvasStrip } from "./canvas_strip.js";
import { LeadStrip } from "./lead_strip.js";
import { MarksLane } from "./marks_lane.js";
import { GUTTER_PX, mmPerSecond, timeLabels } from "./paper.js";
import { followPointer } from "./trace_pointer.js";

const LANE_PX = 30;
const AXIS_PX = 22;

export class Trace extends EventTarget {
  #pending = 0;
  #points = "";
  #level = null;

  constructor({ record, view, reading, tiles, tip }) {
    super();
    Object.assign(this, { record, view, reading, tiles, tip, gain: 10 });
    this.marks = new MarksLane({ view, reading });
    this.modelLane = new CanvasStrip(LANE_PX, (...given) => this.marks.drawModel(...given));
    this.referenceLane = new CanvasStrip(LANE_PX, (...given) => this.marks.drawReference(...given));
    this.axis = new CanvasStrip(AXIS_PX, (...given) => this.#drawAxis(...given));
    this.strips = record.leads.map((lead) => new LeadStrip(lead, { view, reading }));
    this.stack = el("div", { class: "strips" }, this.strips.map((strip) => strip.element));
    this.waiting = el("p", { class: "trace-waiting", text: "Loading the signal …" });
    this.element = this.#element();
    this.element.append(this.waiting);
    followPointer(this);
    this.#listen();
  }

  get plotWidth() {
    return Math.max(this.width - GUTTER_PX, 1);
  }

  /** whole: the record in one coarse tile, from which the strips take their height. */
  begin(whole) {
    this.strips.forEach((strip, i) => strip.fit(whole.leads[i].y));
    this.waiting.remove();
    this.layOut();
  }

  setGain(gain) {
    this.gain = gain;
    for (const strip of this.strips) strip.gain = gain;
    this.layOut();
  }

  layOut() {
    this.width = this.element.clientWidth; // nothing while another layout is shown
    if (!this.width) return;
    this.referenceLane.canvas.hidden = !this.reading.reference?.shown;
    for (const lane of [this.modelLane, this.referenceLane, this.axis]) lane.resize(this.width);
    for (const strip of this.strips) strip.resize(this.width);
    this.#draw();
  }

  /** Seconds at a place of the page, and the place of a moment inside the trace. */
  timeAt(clientX) {
    const x = clientX - this.element.getBoundingClientRect().left - GUTTER_PX;
    return this.view.start_s + (x / this.plotWidth) * this.view.span_s;
  }

  xOf(seconds) {
    return GUTTER_PX + ((seconds - this.view.start_s) / this.view.span_s) * this.plotWidth;
  }

  scaleText() {
    const speed = mmPerSecond(this.view.span_s, this.plotWidth);
    return `${trimmed(speed, speed < 1 ? 2 : 1)} mm/s · ${this.gain} mm/mV`;
  }

  close() {
    this.ended.abort();
    this.resizing.disconnect();
    cancelAnimationFrame(this.#pending);
    for (const strip of this.strips) strip.plot.destroy();
  }

  #element() {
    const leads = this.record.leads.map((lead) => lead.name).join(", ");
    return el(
      "div",
      {
        class: "trace",
        tabindex: "0",
        role: "application",
        "aria-label": `ECG trace of ${this.record.name}, leads ${leads}`,
        "aria-description": "Arrow keys pan, plus and minus zoom, n and p go from beat to beat that is not normal. Question mark lists all keys. The table of beats below says the same in text.",
      },
      this.modelLane.canvas,
      this.referenceLane.canvas,
      this.stack,
      this.axis.canvas,
    );
  }

  #listen() {
    this.ended = new AbortController();
    const { signal } = this.ended;
    this.view.addEventListener("change", () => this.#soon(), { signal });
    this.tiles.addEventListener("arrived", () => this.#soon(), { signal });
    this.reading.addEventListener("content", () => this.layOut(), { signal });
    for (const what of ["classes", "selected"])
      this.reading.addEventListener(what, () => this.#soon(), { signal });
    themeChanges.addEventListener("change", () => this.#repaint(), { signal });
    this.resizing = new ResizeObserver(() => this.element.clientWidth !== this.width && this.layOut());
    this.resizing.observe(this.element);
  }

  #repaint() {
    this.marks.repaint();
    for (const strip of this.strips) strip.repaint();
    this.#soon();
  }

  #soon() {
    this.#pending ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.#pending);
    this.#pending = 0;
    if (!this.width) return;
    const { start_s, end_s, span_s } = this.view;
    const level = this.tiles.level(span_s, this.plotWidth);
    const points = this.tiles.assembled(start_s - span_s / 4, end_s + span_s / 4, level);
    const changed = points.id !== this.#points ? points.leads() : null;
    this.#points = points.id;
    this.strips.forEach((strip, i) => strip.show(changed?.[i]));
    this.modelLane.now();
    if (!this.referenceLane.canvas.hidden) this.referenceLane.now();
    this.axis.now();
    this.tiles.want(start_s, end_s, level);
    this.tip.place(this);
    this.dispatchEvent(new Event("drawn"));
  }

  #drawAxis(context, width) {
    const { start_s, span_s } = this.view;
    const { at, digits } = timeLabels(start_s, span_s, width - GUTTER_PX);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "top";
    context.fillStyle = color("muted");
    for (const moment of at) {
      const x = this.xOf(moment);
      context.fillRect(Math.round(x), 0, 1, 4);
      const text = clock(moment, digits);
      const half = context.measureText(text).width / 2;
      context.textAlign = "left";
      context.fillText(text, Math.min(Math.max(x - half, GUTTER_PX), width - 2 * half), 7);
    }
  }
}
