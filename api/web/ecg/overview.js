// The whole record below the trace: RR intervals over time, a row of marks a class, and where the
// view is; a click or a drag moves the view.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { el, fill } from "../parts/dom.js";
import { clock } from "../parts/format.js";
import { keep, kept } from "../parts/kept.js";
import { color, themeChanges } from "../parts/theme.js";
import { CanvasStrip } from "./canvas_strip.js";
import { isNormal, shapePath } from "./classes.js";
import { GUTTER_PX, timeLabels } from "./paper.js";

const TACHOGRAM_PX = 112;
const ROW_PX = 17;
const AXIS_PX = 20;
const LONGEST_RR_S = 3;

export class Overview {
  #plot = null;

  constructor({ view, reading }) {
    Object.assign(this, { view, reading, width: 0, asRate: kept("tachogram", "rr") === "rate" });
    this.chart = el("div", { class: "tachogram" });
    this.timeline = new CanvasStrip(ROW_PX, (...given) => this.#drawTimeline(...given));
    this.window = el("div", { class: "view-window" });
    this.field = this.#field();
    this.choice = this.#choice();
    const title = el("h2", { text: "Whole record" });
    this.element = el("section", { class: "overview card", "aria-label": "Whole record" },
      el("div", { class: "card-head" }, title, this.choice), this.field);
    this.#listen();
  }

  layOut() {
    this.width = this.field.clientWidth;
    if (!this.width) return;
    this.#plot?.destroy();
    this.#plot = this.reading.beats ? this.#tachogram() : null;
    this.chart.hidden = this.choice.hidden = !this.#plot;
    this.timeline.resize(this.width, this.#rows().length * ROW_PX + AXIS_PX + 6);
    this.#placeWindow();
  }

  close() {
    this.ended.abort();
    this.resizing.disconnect();
    this.#plot?.destroy();
  }

  #field() {
    const part = { class: "overview-field", tabindex: "0", role: "slider", "aria-valuemin": "0",
      "aria-valuemax": Math.round(this.view.duration_s), "aria-label": "Place in the record" };
    return el("div", part, this.chart, this.timeline.canvas, this.window);
  }

  #choice() {
    const pick = (rate) => () => {
      this.asRate = rate;
      keep("tachogram", rate ? "rate" : "rr");
      show();
      this.layOut();
    };
    const rr = el("button", { type: "button", text: "RR interval", onclick: pick(false) });
    const rate = el("button", { type: "button", text: "Heart rate", onclick: pick(true) });
    const show = () => {
      rr.setAttribute("aria-pressed", String(!this.asRate));
      rate.setAttribute("aria-pressed", String(this.asRate));
    };
    show();
    return el("div", { class: "segments", role: "group", "aria-label": "Tachogram" }, rr, rate);
  }

  #listen() {
    this.ended = new AbortController();
    const { signal } = this.ended;
    this.view.addEventListener("change", () => this.#placeWindow(), { signal });
    for (const what of ["content", "classes"])
      this.reading.addEventListener(what, () => this.layOut(), { signal });
    themeChanges.addEventListener("change", () => this.layOut(), { signal });
    this.resizing = new ResizeObserver(() => this.field.clientWidth !== this.width && this.layOut());
    this.resizing.observe(this.field);
    const move = (event) => this.view.set(this.#timeAt(event.clientX) - this.view.span_s / 2);
    this.field.addEventListener("pointerdown", (event) => {
      this.field.setPointerCapture(event.pointerId);
      move(event);
    });
    this.field.addEventListener("pointermove", (event) => event.buttons && move(event));
  }

  #timeAt(clientX) {
    const x = clientX - this.field.getBoundingClientRect().left - GUTTER_PX;
    return (x / (this.width - GUTTER_PX)) * this.view.duration_s;
  }

  #placeWindow() {
    const { start_s, span_s, end_s, duration_s } = this.view;
    const wide = this.width - GUTTER_PX;
    this.window.style.width = `${Math.max((span_s / duration_s) * wide, 3)}px`;
    this.window.style.transform = `translateX(${GUTTER_PX + (start_s / duration_s) * wide}px)`;
    this.window.classList.toggle("whole", span_s >= duration_s);
    this.field.setAttribute("aria-valuenow", Math.round(start_s));
    this.field.setAttribute("aria-valuetext", `${clock(start_s, 1)} to ${clock(end_s, 1)}`);
  }

  #tachogram() {
    fill(this.chart);
    const [x, y] = this.#points();
    const range = ranged(y, this.asRate);
    const ink = color("muted");
    const line = { stroke: color("grid"), width: 1 };
    return new uPlot(
      {
        width: this.width,
        height: TACHOGRAM_PX,
        padding: [6, 0, 4, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false, range: [0, this.view.duration_s] }, y: { range: () => range } },
        axes: [
          { show: false },
          { size: GUTTER_PX, gap: 4, stroke: ink, font: "10.5px system-ui, sans-serif", space: 26,
            grid: line, ticks: { show: false }, values: (_, found) => found.map((v) => this.#axisText(v, found[1] - found[0])) },
        ],
        series: [{}, { paths: () => null, points: { show: false } }],
        hooks: { draw: [(plot) => this.#dots(plot, x, y)] },
      },
      [x, y],
      this.chart,
    );
  }

  #axisText(value, step) {
    return this.asRate ? String(value) : `${value.toFixed(step < 0.1 ? 2 : 1)} s`;
  }

  /** At each beat the interval that ends there; a pause too long to be one leaves a gap. */
  #points() {
    const { beats } = this.reading;
    const y = Array.from(beats.time, (_, i) => {
      const rr = beats.rrBefore(i);
      if (rr === null || rr > LONGEST_RR_S || rr <= 0) return null;
      return this.asRate ? 60 / rr : rr;
    });
    return [beats.time, y];
  }

  /** A dot a beat; those that are not normal over the others, with their shape. */
  #dots(plot, x, y) {
    const context = plot.ctx;
    const unit = devicePixelRatio || 1;
    const colors = this.reading.classes.map((one) => color(one.color));
    const place = (i) => [plot.valToPos(x[i], "x", true), plot.valToPos(y[i], "y", true)];
    const shown = Array.from(x.keys()).filter((i) => y[i] !== null && this.reading.isShown(i));
    const { left, top, width, height } = plot.bbox;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    context.fillStyle = color("tachogram");
    for (const i of shown.filter((one) => this.reading.isNormal(one))) {
      const [px, py] = place(i);
      context.fillRect(px - unit, py - unit, 2 * unit, 2 * unit);
    }
    for (const i of shown.filter((one) => !this.reading.isNormal(one))) {
      context.fillStyle = colors[this.reading.beats.classIndex[i]];
      shapePath(context, this.reading.beats.classOf(i).shape, ...place(i), 2.4 * unit);
      context.fill();
    }
    context.restore();
  }

  #rows() {
    const { classes, beats } = this.reading;
    return beats ? classes.map((one, i) => ({ one, i })).filter(({ one }) => !isNormal(one.label)) : [];
  }

  #drawTimeline(context, width) {
    const { beats } = this.reading;
    const perSecond = (width - GUTTER_PX) / this.view.duration_s;
    const rows = this.#rows();
    rows.forEach(({ one, i }, row) => {
      const y = row * ROW_PX + ROW_PX / 2 + 3;
      context.fillStyle = color("grid");
      context.fillRect(GUTTER_PX, Math.round(y), width - GUTTER_PX, 1);
      rowTitle(context, one, y, this.reading.isClassShown(i));
      if (!this.reading.isClassShown(i)) return;
      context.fillStyle = color(one.color);
      let last = -1;
      for (let k = 0; k < beats.length; k += 1) {
        const x = Math.round(GUTTER_PX + beats.time[k] * perSecond);
        if (beats.classIndex[k] !== i || x === last) continue;
        context.fillRect(x - 0.5, y - 5, 1.6, 10);
        last = x;
      }
    });
    this.#axis(context, width, rows.length * ROW_PX + 8);
  }

  #axis(context, width, top) {
    const { at, digits } = timeLabels(0, this.view.duration_s, width - GUTTER_PX);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillStyle = color("muted");
    for (const moment of at) {
      const x = GUTTER_PX + (moment / this.view.duration_s) * (width - GUTTER_PX);
      const text = clock(moment, digits);
      const wide = context.measureText(text).width;
      context.fillText(text, Math.min(Math.max(x - wide / 2, GUTTER_PX), width - wide), top);
    }
  }
}

function rowTitle(context, one, y, shown) {
  context.font = "600 10.5px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.globalAlpha = shown ? 1 : 0.5;
  context.fillStyle = color(one.color);
  shapePath(context, one.shape, 12, y, 4);
  context.fill();
  context.fillStyle = color("muted");
  context.fillText(one.letter, 22, y + 0.5);
  context.globalAlpha = 1;
}

/** What nearly all values lie in, with some room. */
function ranged(values, asRate) {
  const found = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (!found.length) return asRate ? [40, 120] : [0.4, 1.4];
  const at = (part) => found[Math.round(part * (found.length - 1))];
  const room = Math.max((at(0.995) - at(0.005)) * 0.12, asRate ? 4 : 0.06);
  return [Math.max(at(0.005) - room, 0), at(0.995) + room];
}
