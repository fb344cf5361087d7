// The letters over the trace: one for each beat when there is room, else a small shape for each that
// is not normal. A second lane holds the reference's letters, boxed where they disagree.

import { color } from "../parts/theme.js";
import { shapePath } from "./classes.js";
import { GUTTER_PX } from "./paper.js";
import { lowerBound } from "./beats.js";

const ROOM_FOR_LETTERS_PX = 17;
const ROOM_FOR_SHAPES_PX = 5;
const RADIUS = 8;
const STAMP_PX = 24;
const SMALL_RADIUS = 3.6;

export class MarksLane {
  constructor({ view, reading }) {
    Object.assign(this, { view, reading, colors: new Map(), stamps: new Map() });
  }

  repaint() {
    this.colors.clear();
    this.stamps.clear();
  }

  drawModel(context, width, height) {
    const { beats, reference, selected } = this.reading;
    this.#title(context, "Model", height);
    if (!beats) return;
    const roomy = this.#roomy(beats.time, width);
    const crowded = this.#crowded(beats.time, width);
    const seen = new Map();
    this.#each(beats.time, width, (i, x) => {
      if (!this.reading.isShown(i)) return;
      const one = beats.classOf(i);
      const odd = reference?.shown && reference.disagreeingBeats?.has(i);
      if (roomy) this.#chip(context, one, x, height / 2, { faint: beats.unreadable[i], chosen: i === selected, odd });
      else if (once(seen, one.label, x)) this.#small(context, one, x, height / 2, { crowded });
    });
  }

  drawReference(context, width, height) {
    const { reference } = this.reading;
    this.#title(context, "Ref.", height);
    if (!reference) return;
    const roomy = this.#roomy(reference.time, width);
    const crowded = this.#crowded(reference.time, width);
    const seen = new Map();
    this.#each(reference.time, width, (i, x) => {
      const one = reference.classes.find(({ label }) => label === reference.label[i]);
      const odd = reference.disagreeingReferences?.has(i);
      if (roomy) this.#letter(context, one?.letter ?? reference.symbol[i], x, height / 2, odd);
      else if (odd ? once(seen, "odd", x) : once(seen, one.label, x)) this.#small(context, one, x, height / 2, { odd, crowded });
    });
    this.#notes(context, reference.notes, width, height);
  }

  #title(context, text, height) {
    context.font = "600 10.5px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillStyle = this.#color("muted");
    context.fillText(text, 6, height / 2);
  }

  #each(times, width, act) {
    const { start_s, span_s, end_s } = this.view;
    const perSecond = (width - GUTTER_PX) / span_s;
    for (let i = lowerBound(times, start_s); i < times.length && times[i] <= end_s; i += 1)
      act(i, GUTTER_PX + (times[i] - start_s) * perSecond);
  }

  #roomy(times, width) {
    return this.#seen(times) * ROOM_FOR_LETTERS_PX < width - GUTTER_PX;
  }

  #crowded(times, width) {
    return this.#seen(times) * ROOM_FOR_SHAPES_PX > width - GUTTER_PX;
  }

  #seen(times) {
    return lowerBound(times, this.view.end_s) - lowerBound(times, this.view.start_s);
  }

  #chip(context, one, x, y, { faint, chosen, odd }) {
    context.globalAlpha = faint ? 0.5 : 1;
    context.drawImage(this.#stamp(one), x - STAMP_PX / 2, y - STAMP_PX / 2, STAMP_PX, STAMP_PX);
    context.globalAlpha = 1;
    if (chosen || odd) {
      context.lineWidth = 2;
      context.strokeStyle = this.#color(chosen ? "ink" : "odd");
      shapePath(context, odd && !chosen ? "square" : one.shape, x, y, RADIUS + 2.5);
      context.stroke();
    }
    if (faint) this.#text(context, "?", x + RADIUS + 4, y, this.#color("muted"));
  }

  /** A class's shape and letter, drawn once. */
  #stamp(one) {
    if (this.stamps.has(one.label)) return this.stamps.get(one.label);
    const ratio = 2 * Math.ceil(devicePixelRatio || 1);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = STAMP_PX * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    shapePath(context, one.shape, STAMP_PX / 2, STAMP_PX / 2, RADIUS);
    context.fillStyle = this.#color(one.color);
    context.fill();
    this.#text(context, one.letter, STAMP_PX / 2, STAMP_PX / 2, this.#color(`${one.color}-on`));
    this.stamps.set(one.label, canvas);
    return canvas;
  }

  #small(context, one, x, y, { odd = false, crowded = false }) {
    if (one.color === "class-n" && !odd) {
      context.fillStyle = this.#color("muted");
      context.globalAlpha = 0.5;
      context.fillRect(x - 0.5, y + 3, 1, 5);
      context.globalAlpha = 1;
      return;
    }
    context.fillStyle = this.#color(odd ? "odd" : one.color);
    if (crowded) {
      context.fillRect(x - 0.5, y - 7, 1.2, 9);
      return;
    }
    shapePath(context, odd ? "square" : one.shape, x, y - 1, SMALL_RADIUS);
    context.fill();
  }

  #letter(context, letter, x, y, odd) {
    if (odd) {
      context.lineWidth = 1.5;
      context.strokeStyle = this.#color("odd");
      context.strokeRect(x - 8, y - 8, 16, 16);
    }
    this.#text(context, letter, x, y, this.#color(odd ? "ink" : "muted"));
  }

  #text(context, text, x, y, style) {
    context.font = "700 11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = style;
    context.fillText(text, x, y + 0.5);
  }

  /** Rhythm changes and notes, where there is room to read them. */
  #notes(context, notes, width, height) {
    const { start_s, span_s } = this.view;
    if (span_s > 60) return;
    context.font = "italic 10px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillStyle = this.#color("muted");
    for (const one of notes) {
      const x = GUTTER_PX + ((one.time_s - start_s) / span_s) * (width - GUTTER_PX);
      if (x > GUTTER_PX && x < width) context.fillText(one.note || one.symbol, x + 10, height - 5);
    }
  }

  #color(name) {
    if (!this.colors.has(name)) this.colors.set(name, color(name));
    return this.colors.get(name);
  }
}

/** Whether this pixel has not had this mark yet. */
function once(seen, what, x) {
  const at = Math.round(x);
  if (seen.get(what) === at) return false;
  seen.set(what, at);
  return true;
}
