// ECG paper: what a millimeter is, the grid, the calibration pulse, the axis of time.

// a CSS millimeter; screens differ, so the scale is written beside the trace as well
export const PX_A_MM = 96 / 25.4;
export const GUTTER_PX = 46;
export const PAPER_SPEED = 25;

const SMALL_BOX_S = 0.04;
const SMALL_BOX_MV = 0.1;
const BOX = 5;
const CLOSEST_LINES_PX = 3;
const LABELS_APART_PX = 74;
const STEPS_S = [0.04, 0.2, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600];
const LABEL_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600];

/** Seconds that fit into a width at 25 mm/s. */
export function spanAtPaperSpeed(width_px, mm_per_s = PAPER_SPEED) {
  return width_px / (mm_per_s * PX_A_MM);
}

export function mmPerSecond(span_s, width_px) {
  return width_px / span_s / PX_A_MM;
}

/** Lines of time and voltage in `area`: {left, top, width, height, start_s, span_s, low, high}. */
export function drawGrid(context, area, { minor, major }, { voltage, unit = 1 }) {
  const perSecond = area.width / area.span_s;
  const fine = STEPS_S.find((step) => step * perSecond >= CLOSEST_LINES_PX * unit);
  const coarse = STEPS_S[STEPS_S.indexOf(fine) + 1] ?? fine * BOX;
  const perMv = area.height / (area.high - area.low);
  const fineMv = SMALL_BOX_MV * perMv >= CLOSEST_LINES_PX * unit ? SMALL_BOX_MV : SMALL_BOX_MV * BOX;
  // on paper the boxes are square: the fine lines of voltage go when those of time have gone
  const squareMv = fine > SMALL_BOX_S ? SMALL_BOX_MV * BOX : fineMv;
  // further out than paper goes, small boxes would only be a haze
  if (fine <= BOX * SMALL_BOX_S) {
    context.fillStyle = minor;
    lines(context, area, { step_s: fine, step_mv: voltage ? squareMv : null, unit });
  }
  context.fillStyle = major;
  lines(context, area, { step_s: coarse, step_mv: voltage ? SMALL_BOX_MV * BOX : null, unit });
}

/** As thin rectangles: without a graphics card these cost a tenth of a stroked path. */
function lines(context, area, { step_s, step_mv, unit }) {
  const { left, top, width, height, start_s, span_s, low, high } = area;
  for (let i = Math.ceil(start_s / step_s); i * step_s <= start_s + span_s; i += 1) {
    const x = Math.round(left + ((i * step_s - start_s) / span_s) * width);
    context.fillRect(x, top, unit, height);
  }
  for (let i = Math.ceil(low / step_mv); step_mv && i * step_mv <= high + 1e-9; i += 1) {
    const y = Math.round(top + ((high - i * step_mv) / (high - low)) * height);
    context.fillRect(left, y, width, unit);
  }
}

/** One millivolt high and, as far as there is room, 0.2 s wide: how a trace says its scale. */
export function drawPulse(context, { x, y, perMv, perSecond, room, color, unit = 1 }) {
  const wide = Math.min(Math.max(0.2 * perSecond, 2 * unit), room);
  const foot = 4 * unit;
  context.strokeStyle = color;
  context.lineWidth = 1.4 * unit;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + foot, y);
  context.lineTo(x + foot, y - perMv);
  context.lineTo(x + foot + wide, y - perMv);
  context.lineTo(x + foot + wide, y);
  context.lineTo(x + wide + 2 * foot, y);
  context.stroke();
}

/** Moments to write under a trace, and how many digits of a second they need. */
export function timeLabels(start_s, span_s, width_px) {
  const step = LABEL_STEPS_S.find((one) => (one / span_s) * width_px >= LABELS_APART_PX) ?? 43200;
  const found = [];
  for (let i = Math.ceil(start_s / step); i * step <= start_s + span_s; i += 1) found.push(i * step);
  return { at: found, digits: step < 1 ? 1 : 0 };
}
