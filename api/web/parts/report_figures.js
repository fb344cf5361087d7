// What the reports of both tasks are drawn with: figures with their intervals, bars, a frame from 0 to 1.

import { el } from "./dom.js";
import { svg } from "./svg.js";

export const ROLES = { new: "the new model", base: "its base", promoted: "the one that answers now", "base and promoted": "its base, which answers now" };
const PATTERNS = ["solid", "lined", "dotted"];

/** 0.812 [0.780, 0.841]; a dash where a figure does not exist. */
export function interval({ value, low, high }, { sign = false, digits = 3 } = {}) {
  if (value === null) return "–";
  const text = (one) => `${sign && one > 0 ? "+" : ""}${one.toFixed(digits)}`;
  return low === null || high === null ? text(value) : `${text(value)} [${text(low)}, ${text(high)}]`;
}

/** How a model's bars look, apart from their place: full, lined, dotted. */
export function barClass(model) {
  return `report-bar ${PATTERNS[model % PATTERNS.length]}`;
}

export function modelMark(model) {
  return svg("svg", { class: "model-mark", viewBox: "0 0 18 12", width: 18, height: 12, "aria-hidden": "true" },
    svg("rect", { class: barClass(model), x: 1, y: 1, width: 16, height: 10, rx: 2 }));
}

/** Groups of bars with whiskers: groups [{name, bars: [{value, low, high}]}], a bar a model. */
export function groupedBars(groups, { title, highest = 1 }) {
  const bar = 18;
  const gap = 26;
  const most = Math.max(...groups.map(({ bars }) => bars.length), 1);
  const wide = most * bar + gap;
  const [left, top, high] = [34, 8, 130];
  const y = (value) => top + (1 - Math.min(value, highest) / highest) * high;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => part * highest);
  const drawn = groups.flatMap(({ name, bars }, g) => {
    const x = left + g * wide + gap / 2;
    const shapes = bars.flatMap(({ value, low, high: up }, i) => {
      if (value === null) return [svg("text", { class: "none", x: x + i * bar + bar / 2, y: y(0) - 4, "text-anchor": "middle", text: "–" })];
      const middle = x + i * bar + bar / 2;
      return [
        svg("rect", { class: barClass(i), x: x + i * bar + 1.5, y: y(value), width: bar - 3, height: Math.max(y(0) - y(value), 0.5) }),
        low === null || up === null ? null : svg("path", { class: "whisker", d: `M${middle} ${y(low)}V${y(up)}M${middle - 3} ${y(low)}h6M${middle - 3} ${y(up)}h6` }),
      ];
    });
    return [...shapes, svg("text", { x: x + (bars.length * bar) / 2, y: top + high + 15, "text-anchor": "middle", text: name })];
  });
  const grid = ticks.flatMap((value) => [
    svg("path", { class: "grid", d: `M${left} ${y(value)}H${left + groups.length * wide}` }),
    svg("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end", text: trimmedTick(value) }),
  ]);
  const size = { width: left + groups.length * wide, height: top + high + 22 };
  return el("figure", { class: "bars" }, el("figcaption", { text: title }),
    svg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, width: size.width, height: size.height, role: "img", "aria-label": `${title}; the table has the figures` }, grid, drawn));
}

/** A square from 0 to 1 on both axes; draw(x, y) gives what is inside. */
export function unitPlot({ title, across, up, draw }) {
  const [left, top, side] = [44, 10, 250];
  const x = (value) => left + value * side;
  const y = (value) => top + (1 - value) * side;
  const ticks = [0, 0.25, 0.5, 0.75, 1].flatMap((value) => [
    svg("path", { class: "grid", d: `M${left} ${y(value)}h${side}M${x(value)} ${top}v${side}` }),
    svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", text: trimmedTick(value) }),
    svg("text", { x: x(value), y: top + side + 15, "text-anchor": "middle", text: trimmedTick(value) }),
  ]);
  return el("figure", { class: "unit-plot" }, el("figcaption", { text: title }),
    svg("svg", { viewBox: `0 0 ${left + side + 14} ${top + side + 36}`, width: left + side + 14, height: top + side + 36, role: "img", "aria-label": `${title}; the tables have the figures` },
      ticks,
      svg("path", { class: "diagonal", d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}` }),
      svg("text", { x: left + side / 2, y: top + side + 31, "text-anchor": "middle", text: across }),
      svg("text", { x: 11, y: top + side / 2, "text-anchor": "middle", transform: `rotate(-90 11 ${top + side / 2})`, text: up }),
      draw(x, y)));
}

/** A table that can be scrolled: heads, and rows whose first cell names them. */
export function reportTable(name, heads, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, el("table", { class: "figures" },
    el("thead", {}, el("tr", {}, heads.map((text) => (text ? el("th", { scope: "col" }, text) : el("td"))))),
    el("tbody", {}, rows.map(([first, ...others]) => el("tr", {}, el("th", { scope: "row" }, first), others.map((one) => el("td", {}, one)))))));
}

function trimmedTick(value) {
  return String(Number(value.toFixed(2)));
}
