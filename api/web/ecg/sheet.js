// The 12-lead sheet: ten seconds as they come out of an electrocardiograph, 3 x 4 leads and a rhythm
// strip on one grid, with the letters of the beats above the strip. Meets what Trace meets.

import { el } from "../parts/dom.js";
import { clock } from "../parts/format.js";
import { color, themeChanges } from "../parts/theme.js";
import { CanvasStrip } from "./canvas_strip.js";
import { MarksLane } from "./marks_lane.js";
import { drawGrid, drawPulse, GUTTER_PX, PAPER_SPEED, PX_A_MM } from "./paper.js";
import { COLUMN_S, PAGE_S, rowRange } from "./sheet_layout.js";
import { beatPaths, drawDivider, drawLead, drawName } from "./sheet_painter.js";
import { followPointer } from "./trace_pointer.js";

const LANE_PX = 30;
const AXIS_PX = 22;
// below this the letters of the leads crowd: the sheet is scrolled instead of shrunk further
const SMALLEST_MM_PX = 2.5;
const INKS = ["paper", "paper-minor", "paper-major", "trace", "selected", "unreadable"];

export class Sheet extends EventTarget {
  #pending = 0;
  #points = "";
  #leads = null;
  width = 0;

  constructor({ record, rows, view, reading, tiles, tip }) {
    super();
    Object.assign(this, { record, rows, view, reading, tiles, tip, gain: 10, mm_px: PX_A_MM });
    this.ranges = rows.map(() => [-1, 1.5]);
    this.#takeColors();
    this.marks = new MarksLane({ view, reading });
    this.upper = new CanvasStrip(300, (context) => this.#drawRows(context, this.rows.slice(0, -1)));
    this.modelLane = new CanvasStrip(LANE_PX, (...given) => this.marks.drawModel(...given));
    this.referenceLane = new CanvasStrip(LANE_PX, (...given) => this.marks.drawReference(...given));
    this.strip = new CanvasStrip(100, (context) => this.#drawRows(context, this.rows.slice(-1)));
    this.axis = new CanvasStrip(AXIS_PX, (context) => this.#drawAxis(context));
    this.element = this.#element();
    this.holder = el("div", { class: "sheet-holder" }, this.element);
    followPointer(this);
    this.#listen();
  }

  get plotWidth() {
    return Math.max(this.width - GUTTER_PX, 1);
  }

  /** whole: the record in one coarse tile, from which the rows take their height. */
  begin(whole) {
    this.ranges = this.rows.map((row) => rowRange(row, whole.leads));
    this.layOut();
  }

  setGain(gain) {
    this.gain = gain;
    this.layOut();
  }

  layOut() {
    const room = this.holder.clientWidth;
    if (!room || this.holder.hidden) return;
    const fits = (room - GUTTER_PX) / (PAGE_S * PAPER_SPEED);
    this.mm_px = Math.min(Math.max(fits, SMALLEST_MM_PX), PX_A_MM);
    this.#points = "";
    // a record shorter than a page fills a part of the paper; the lanes are as long as the record
    this.width = Math.round(GUTTER_PX + this.view.span_s * this.#perSecond());
    const paper = Math.round(GUTTER_PX + PAGE_S * this.#perSecond());
    this.element.style.width = `${paper}px`;
    const high = this.rows.map((_, row) => this.#rowHeight(row));
    this.referenceLane.canvas.hidden = !this.reading.reference?.shown;
    this.upper.resize(paper, high.slice(0, -1).reduce((sum, one) => sum + one, 0));
    this.strip.resize(paper, high.at(-1));
    for (const lane of [this.modelLane, this.referenceLane]) lane.resize(this.width);
    this.axis.resize(paper);
    this.#draw();
  }

  timeAt(clientX) {
    const x = clientX - this.element.getBoundingClientRect().left - GUTTER_PX;
    return this.view.start_s + x / this.#perSecond();
  }

  xOf(seconds) {
    return GUTTER_PX + (seconds - this.view.start_s) * this.#perSecond();
  }

  scaleText() {
    const part = Math.round((100 * this.mm_px) / PX_A_MM);
    return `${PAPER_SPEED} mm/s · ${this.gain} mm/mV${part < 100 ? ` · at ${part} %` : ""}`;
  }

  close() {
    this.ended.abort();
    this.resizing.disconnect();
    cancelAnimationFrame(this.#pending);
  }

  #perSecond() {
    return PAPER_SPEED * this.mm_px;
  }

  #rowHeight(row) {
    const [low, high] = this.ranges[row];
    return Math.round((high - low) * this.gain * this.mm_px);
  }

  #element() {
    return el(
      "div",
      {
        class: "trace sheet",
        tabindex: "0",
        role: "application",
        "aria-label": `12-lead ECG of ${this.record.name}, three rows of four leads and a rhythm strip of lead II`,
        "aria-description": "Arrow keys go on by one column of 2.5 seconds, n and p go from beat to beat that is not normal, l shows the leads one below the other. Question mark lists all keys.",
      },
      this.upper.canvas,
      this.modelLane.canvas,
      this.referenceLane.canvas,
      this.strip.canvas,
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
    themeChanges.addEventListener("change", () => {
      this.#takeColors();
      this.marks.repaint();
      this.#soon();
    }, { signal });
    this.resizing = new ResizeObserver(() => this.layOut());
    this.resizing.observe(this.holder);
  }

  #takeColors() {
    this.inks = Object.fromEntries(INKS.map((name) => [name, color(name)]));
  }

  #soon() {
    this.#pending ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.#pending);
    this.#pending = 0;
    if (!this.width || this.holder.hidden) return;
    const { start_s, end_s, span_s } = this.view;
    const level = this.tiles.level(span_s, this.plotWidth);
    const points = this.tiles.assembled(start_s, end_s, level);
    if (points.id !== this.#points) this.#leads = points.leads();
    this.#points = points.id;
    this.upper.now();
    this.strip.now();
    this.modelLane.now();
    if (!this.referenceLane.canvas.hidden) this.referenceLane.now();
    this.axis.now();
    this.tiles.want(start_s, end_s, level);
    this.tip.place(this);
    this.dispatchEvent(new Event("drawn"));
  }

  #drawRows(context, rows) {
    let top = 0;
    for (const row of rows) {
      const at = this.rows.indexOf(row);
      this.#drawRow(context, row, { top, height: this.#rowHeight(at), range: this.ranges[at] });
      top += this.#rowHeight(at);
    }
  }

  #drawRow(context, row, { top, height, range: [low, high] }) {
    const perSecond = this.#perSecond();
    const { start_s } = this.view;
    const area = { left: GUTTER_PX, top, width: PAGE_S * perSecond, height, low, high, start_s: 0, span_s: PAGE_S };
    const perMv = height / (high - low);
    context.fillStyle = this.inks.paper;
    context.fillRect(0, top, GUTTER_PX + area.width, height);
    // the grid is printed on the paper: it goes on under the pulse and stays where it is as time moves
    const printed = { ...area, left: GUTTER_PX - 5 * 2 * this.mm_px, width: area.width + 10 * this.mm_px, start_s: -0.4, span_s: PAGE_S + 0.4 };
    drawGrid(context, printed, { minor: this.inks["paper-minor"], major: this.inks["paper-major"] }, { voltage: true });
    this.#bands(context, area);
    const zero = top + high * perMv;
    drawPulse(context, { x: 4, y: zero, perMv, perSecond, room: 0.2 * perSecond, color: this.inks.trace });
    const ink = { ...this.inks, beats: (cell, points) => beatPaths(cell, points, this.reading, (name) => color(`${name}-line`)) };
    for (const { name, lead, from_s, to_s } of row) {
      const cell = { left: GUTTER_PX + from_s * perSecond, right: GUTTER_PX + to_s * perSecond, top, height, low, high, start_s: start_s + from_s, perSecond };
      if (this.#leads?.[lead]) drawLead(context, cell, this.#leads[lead], ink);
      if (from_s > 0) drawDivider(context, cell, this.inks.trace);
      drawName(context, cell, name, this.inks);
    }
  }

  /** The chosen beat, and beats that cannot be judged. */
  #bands(context, { left, top, width, height }) {
    const { beats, selected } = this.reading;
    if (!beats) return;
    const { start_s } = this.view;
    const band = (i, style) => {
      const from = Math.max(this.xOf(beats.time[i] - 0.2), left);
      const to = Math.min(this.xOf(beats.time[i] + 0.36), left + width);
      context.fillStyle = style;
      if (to > from) context.fillRect(from, top, to - from, height);
    };
    for (let i = beats.from(start_s - 1); i < beats.length && beats.time[i] < start_s + PAGE_S; i += 1)
      if (beats.unreadable[i]) band(i, this.inks.unreadable);
    if (selected >= 0) band(selected, this.inks.selected);
  }

  #drawAxis(context) {
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "top";
    context.textAlign = "left";
    context.fillStyle = color("muted");
    for (let from_s = 0; from_s < PAGE_S; from_s += COLUMN_S) {
      const x = Math.round(GUTTER_PX + from_s * this.#perSecond());
      context.fillRect(x, 0, 1, 4);
      context.fillText(`${clock(this.view.start_s + from_s, 1)}`, x, 7);
    }
  }
}
