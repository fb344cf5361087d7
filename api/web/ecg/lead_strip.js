// One lead on paper: uPlot draws the line, this draws the paper under it and the beats over it.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { el } from "../parts/dom.js";
import { color } from "../parts/theme.js";
import { lowerBound } from "./beats.js";
import { drawGrid, drawPulse, GUTTER_PX, PX_A_MM } from "./paper.js";

const LINE = uPlot.paths.linear();
const BOX_MV = 0.5;
const MOST_MV = 5;
const OTHER_UNIT_PX = 96;
const NAME_PX = 23;
// around the R peak: P, QRS and T of the beat
const BEAT_FROM_S = 0.2;
const BEAT_TO_S = 0.36;
const QRS_S = 0.06;
const WIDEST_COLORED_S = 90;
const DENSE_PX_A_SECOND = 24;

export class LeadStrip {
  constructor(lead, { view, reading }) {
    Object.assign(this, { lead, view, reading, gain: 10, inMv: lead.unit === "mV", points: "" });
    this.range = this.inMv ? [-1, 1.5] : [0, 1];
    this.element = el("div", { class: "strip" });
    this.plot = new uPlot(this.#options(), [[], []], this.element);
    this.element.append(el("span", { class: "strip-name", text: lead.name }));
    if (!this.inMv) this.element.append(el("span", { class: "strip-unit", text: lead.unit }));
    this.repaint();
  }

  /** How high the lead is, from its whole course; what goes beyond is cut, as on paper. */
  fit(values) {
    const found = values.filter((value) => value !== null).sort((a, b) => a - b);
    if (!found.length) return;
    const at = (part) => found[Math.round(part * (found.length - 1))];
    const [low, middle, high] = [at(0.001), at(0.5), at(0.999)];
    if (this.inMv) this.range = boxes(Math.max(low, middle - MOST_MV), Math.min(high, middle + MOST_MV));
    else this.range = low < high ? [low, high] : [low - 1, high + 1];
  }

  get height() {
    const [low, high] = this.range;
    return this.inMv ? Math.round((high - low) * this.gain * PX_A_MM) : OTHER_UNIT_PX;
  }

  resize(width_px) {
    this.plot.setSize({ width: width_px, height: this.height });
  }

  /** points: what SignalTiles.assembled gave for this lead; null when they are the same as before. */
  show(points) {
    const { start_s, end_s } = this.view;
    this.plot.batch(() => {
      if (points) this.plot.setData([points.x, points.y], false);
      this.plot.setScale("x", { min: start_s, max: end_s });
      const [min, max] = this.range;
      if (this.plot.scales.y.max !== max) this.plot.setScale("y", { min, max });
    });
  }

  /** Take the colors anew. */
  repaint() {
    const names = ["paper", "paper-minor", "paper-major", "trace", "trace-dense", "unreadable", "selected"];
    this.colors = Object.fromEntries(names.map((name) => [name, color(name)]));
    this.classColors = new Map();
    this.plot.redraw(false);
  }

  #options() {
    return {
      width: 300,
      height: this.height,
      padding: [0, 0, 0, GUTTER_PX],
      legend: { show: false },
      cursor: { show: false },
      select: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: {
        x: { time: false, auto: false, range: (_, low, high) => [low ?? 0, high ?? 1] },
        y: { auto: false, range: (_, low, high) => [low ?? 0, high ?? 1] },
      },
      series: [{}, { stroke: () => this.colors.trace, width: 1.25, points: { show: false }, pxAlign: 0,
        paths: (...given) => (this.#isDense() ? null : LINE(...given)) }],
      hooks: { drawClear: [() => this.#paper()], draw: [() => (this.#isDense() ? this.#columns() : this.#beats())] },
    };
  }

  /** Whether a pixel holds so many samples that the line becomes an area. */
  #isDense() {
    return this.plot.bbox.width / this.view.span_s < DENSE_PX_A_SECOND * (devicePixelRatio || 1);
  }

  /** The area as one column a pixel, from its smallest to its largest sample: cheap to draw at any span. */
  #columns() {
    const context = this.plot.ctx;
    const area = this.#area();
    const [x, y] = this.plot.data;
    const perMv = area.height / (area.high - area.low);
    const row = (value) => area.top + (area.high - Math.min(Math.max(value, area.low), area.high)) * perMv;
    const unit = Math.max(Math.round(devicePixelRatio || 1), 1);
    const ink = this.#inkAlong();
    let column = { at: -1, low: 0, high: 0 };
    let before = null;
    const put = () => column.at >= 0 && context.fillRect(column.at, column.low, unit, Math.max(column.high - column.low, unit));
    for (let k = lowerBound(x, area.start_s); k < x.length && x[k] <= this.view.end_s; k += 1) {
      const here = y[k] === null ? null : row(y[k]);
      const at = area.left + Math.floor(((x[k] - area.start_s) / area.span_s) * area.width);
      if (here !== null && at !== column.at) {
        put();
        context.fillStyle = ink(x[k]);
        // from where the last one ended, so that a steep line has no gaps
        const from = before ?? here;
        column = { at, low: Math.min(here, from), high: Math.max(here, from) };
      } else if (here !== null) {
        column.low = Math.min(column.low, here);
        column.high = Math.max(column.high, here);
      }
      before = here;
    }
    put();
  }

  /** The color at a moment; moments come in order. Further out than single beats are seen: one color. */
  #inkAlong() {
    const { beats } = this.reading;
    const plain = this.colors["trace-dense"];
    if (!beats || this.view.span_s > WIDEST_COLORED_S) return () => plain;
    let i = beats.from(this.view.start_s - 1);
    return (moment) => {
      while (i + 1 < beats.length && beats.time[i + 1] - QRS_S <= moment) i += 1;
      // the beat that goes on, or the one that begins
      for (const one of [i + 1, i])
        if (one < beats.length && this.reading.isShown(one) && !this.reading.isNormal(one) && moment >= beats.time[one] - BEAT_FROM_S && moment <= beats.time[one] + BEAT_TO_S)
          return this.#classColor(beats.classOf(one).color);
      return plain;
    };
  }

  #area() {
    const { left, top, width, height } = this.plot.bbox;
    const [low, high] = this.range;
    const { start_s, span_s } = this.view;
    return { left, top, width, height, low, high, start_s, span_s };
  }

  #paper() {
    const context = this.plot.ctx;
    const unit = devicePixelRatio || 1;
    const area = this.#area();
    context.save();
    context.fillStyle = this.colors.paper;
    context.fillRect(area.left, area.top, area.width, area.height);
    const ink = { minor: this.colors["paper-minor"], major: this.colors["paper-major"] };
    drawGrid(context, area, ink, { voltage: this.inMv, unit });
    this.#bands(context, area);
    if (this.inMv) {
      const perMv = area.height / (area.high - area.low);
      // on the zero line where it can be, below the lead's name, inside the strip
      const zero = Math.max(area.top + area.high * perMv, area.top + NAME_PX * unit + perMv);
      const y = Math.min(zero, area.top + area.height - 4 * unit);
      const room = area.left - 22 * unit;
      const perSecond = area.width / area.span_s;
      drawPulse(context, { x: 6 * unit, y, perMv, perSecond, room, color: this.colors.trace, unit });
    }
    context.restore();
  }

  /** Beats that cannot be judged, and the one that is chosen. */
  #bands(context, area) {
    const { beats, selected } = this.reading;
    if (!beats || area.span_s > 4 * WIDEST_COLORED_S) return;
    const perSecond = area.width / area.span_s;
    const band = (i, style) => {
      const from = Math.max(area.left + (beats.time[i] - BEAT_FROM_S - area.start_s) * perSecond, area.left);
      const to = area.left + (beats.time[i] + BEAT_TO_S - area.start_s) * perSecond;
      context.fillStyle = style;
      if (to > from) context.fillRect(from, area.top, to - from, area.height);
    };
    for (let i = beats.from(area.start_s - 1); i < beats.length && beats.time[i] < this.view.end_s + 1; i += 1)
      if (beats.unreadable[i]) band(i, this.colors.unreadable);
    if (selected >= 0) band(selected, this.colors.selected);
  }

  /** The line again in the color of the class, for each beat that is not normal. */
  #beats() {
    const { beats } = this.reading;
    const { ctx: context } = this.plot;
    if (!beats || this.view.span_s > WIDEST_COLORED_S) return;
    const area = this.#area();
    context.save();
    context.beginPath();
    context.rect(area.left, area.top, area.width, area.height);
    context.clip();
    context.lineWidth = 2.2 * (devicePixelRatio || 1);
    context.lineJoin = "bevel";
    for (const [name, path] of this.#pathsByColor(area, beats)) {
      context.strokeStyle = this.#classColor(name);
      context.stroke(path);
    }
    context.restore();
  }

  /** One path for all beats of a class that are in sight. */
  #pathsByColor(area, beats) {
    const paths = new Map();
    const last_s = this.view.end_s + 1;
    for (let i = beats.from(area.start_s - 1); i < beats.length && beats.time[i] < last_s; i += 1) {
      if (!this.reading.isShown(i)) continue;
      const name = beats.classOf(i).color;
      if (!paths.has(name)) paths.set(name, new Path2D());
      this.#addBeat(paths.get(name), area, beats, i);
    }
    return paths;
  }

  #addBeat(path, area, beats, i) {
    const [x, y] = this.plot.data;
    const [before, after] = this.reading.isNormal(i) ? [QRS_S, QRS_S] : [BEAT_FROM_S, BEAT_TO_S];
    const to = Math.min(beats.time[i] + after, (beats.time[i + 1] ?? Infinity) - QRS_S);
    let pen = "moveTo";
    for (let k = lowerBound(x, beats.time[i] - before); k < x.length && x[k] <= to; k += 1) {
      if (y[k] === null) {
        pen = "moveTo";
        continue;
      }
      const px = area.left + ((x[k] - area.start_s) / area.span_s) * area.width;
      path[pen](px, area.top + ((area.high - y[k]) / (area.high - area.low)) * area.height);
      pen = "lineTo";
    }
  }

  #classColor(name) {
    if (!this.classColors.has(name)) this.classColors.set(name, color(`${name}-line`));
    return this.classColors.get(name);
  }
}

/** Whole boxes around a range, with room above for the tallest wave. */
function boxes(low, high) {
  const from = Math.floor((low - 0.1) / BOX_MV) * BOX_MV;
  const to = Math.ceil((high + 0.1) / BOX_MV) * BOX_MV;
  return to - from < 4 * BOX_MV ? [from, from + 4 * BOX_MV] : [from, to];
}
