// Draws one lead of a 12-lead sheet: its line, its beats in the color of their class, its name.

import { lowerBound } from "./beats.js";

const BEAT_FROM_S = 0.2;
const BEAT_TO_S = 0.36;
const QRS_S = 0.06;
const NAME_FONT = "700 12px system-ui, sans-serif";

/** cell: {left, right, top, height, low, high, start_s, perSecond} in CSS pixels, `start_s` at its left edge. */
export function drawLead(context, cell, points, ink) {
  context.save();
  context.beginPath();
  context.rect(cell.left, cell.top, cell.right - cell.left, cell.height);
  context.clip();
  context.lineJoin = "round";
  context.lineWidth = 1.2;
  context.strokeStyle = ink.trace;
  context.stroke(pathOf(cell, points, cell.start_s, endOf(cell)));
  for (const [color, path] of ink.beats(cell, points)) {
    context.lineWidth = 2;
    context.strokeStyle = color;
    context.stroke(path);
  }
  context.restore();
}

/** [color, path] for each class that is seen in a cell. */
export function beatPaths(cell, points, reading, colorOf) {
  const { beats } = reading;
  const paths = new Map();
  if (!beats) return paths;
  const end_s = endOf(cell);
  for (let i = beats.from(cell.start_s - 1); i < beats.length && beats.time[i] < end_s + 1; i += 1) {
    if (!reading.isShown(i)) continue;
    const [before, after] = reading.isNormal(i) ? [QRS_S, QRS_S] : [BEAT_FROM_S, BEAT_TO_S];
    const to = Math.min(beats.time[i] + after, (beats.time[i + 1] ?? Infinity) - QRS_S);
    const color = colorOf(beats.classOf(i).color);
    if (!paths.has(color)) paths.set(color, new Path2D());
    paths.get(color).addPath(pathOf(cell, points, beats.time[i] - before, to));
  }
  return paths;
}

/** The name at the cell's upper left, on a little paper so that a tall wave does not cross it. */
export function drawName(context, cell, name, { paper, trace }) {
  context.font = NAME_FONT;
  context.textAlign = "left";
  context.textBaseline = "top";
  const wide = context.measureText(name).width;
  context.globalAlpha = 0.8;
  context.fillStyle = paper;
  context.fillRect(cell.left + 4, cell.top + 3, wide + 4, 15);
  context.globalAlpha = 1;
  context.fillStyle = trace;
  context.fillText(name, cell.left + 6, cell.top + 5);
}

/** The mark between two leads of a row. */
export function drawDivider(context, cell, color) {
  const middle = cell.top + (cell.high / (cell.high - cell.low)) * cell.height;
  context.fillStyle = color;
  for (const y of [middle - 20, middle + 12]) context.fillRect(Math.round(cell.left), y, 1.5, 8);
}

function endOf({ left, right, start_s, perSecond }) {
  return start_s + (right - left) / perSecond;
}

function pathOf(cell, { x, y }, from_s, to_s) {
  const path = new Path2D();
  const perMv = cell.height / (cell.high - cell.low);
  let pen = "moveTo";
  const last = Math.min(to_s, endOf(cell));
  for (let k = lowerBound(x, Math.max(from_s, cell.start_s)); k < x.length && x[k] <= last; k += 1) {
    if (y[k] === null) {
      pen = "moveTo";
      continue;
    }
    path[pen](cell.left + (x[k] - cell.start_s) * cell.perSecond, cell.top + (cell.high - y[k]) * perMv);
    pen = "lineTo";
  }
  return path;
}
