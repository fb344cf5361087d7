// Curves over epochs: a line a figure, each with its own dashes, and the same as numbers in a table.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { el, fill } from "./dom.js";
import { color, themeChanges } from "./theme.js";

const HEIGHT_PX = 210;
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2], [1, 2]];

export class CurveChart {
  #plot = null;
  #names = "";
  #data = [[], []];

  /** title above; `colors` of colors.css by the name of a series. */
  constructor({ title, colors, signal }) {
    Object.assign(this, { title, colors });
    this.legend = el("ul", { class: "curve-legend plain" });
    this.place = el("div", { class: "curve", role: "img" });
    this.element = el("figure", { class: "card padded curve-card" }, el("figcaption", {}, el("h2", { text: title }), this.legend), this.place);
    themeChanges.addEventListener("change", () => this.#remake(), { signal });
    this.resizing = new ResizeObserver(() => this.#plot && this.place.clientWidth !== this.#plot.width && this.#resize());
    this.resizing.observe(this.place);
    signal.addEventListener("abort", () => this.close());
  }

  close() {
    this.resizing.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  /** x: epochs; series: [{name, label, values}], null where a figure is not there. */
  show(x, series) {
    this.element.hidden = !series.length;
    if (!series.length) return;
    this.series = series;
    this.#data = [x, ...series.map(({ values }) => values)];
    const names = series.map(({ name }) => name).join();
    if (names !== this.#names || !this.#plot) this.#remake();
    else this.#plot.setData(this.#data);
    this.#names = names;
    const last = series.map(({ label, values }) => `${label} ${shown(values.at(-1))}`).join(", ");
    this.place.setAttribute("aria-label", `${this.title} over ${x.length} epochs; at the last: ${last}`);
    this.#showLegend();
  }

  #showLegend() {
    fill(this.legend, this.series.map(({ label, values }, i) => {
      const sample = document.createElement("canvas");
      sample.className = "curve-sample";
      [sample.width, sample.height] = [56, 16];
      const context = sample.getContext("2d");
      context.strokeStyle = this.#color(i);
      context.lineWidth = 4;
      context.setLineDash(DASHES[i % DASHES.length].map((part) => part * 2));
      context.moveTo(0, 8);
      context.lineTo(56, 8);
      context.stroke();
      sample.setAttribute("aria-hidden", "true");
      return el("li", {}, sample, `${label} `, el("strong", { text: shown(values.at(-1)) }));
    }));
  }

  #color(i) {
    return color(this.colors[this.series[i].name] ?? "accent");
  }

  #resize() {
    this.#plot.setSize({ width: this.place.clientWidth, height: HEIGHT_PX });
  }

  #remake() {
    if (!this.series) return;
    this.#plot?.destroy();
    const ink = color("muted");
    const grid = { stroke: color("grid"), width: 1 };
    const axis = { stroke: ink, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const whole = (_, found) => found.map((value) => (Number.isInteger(value) ? String(value) : ""));
    this.#plot = new uPlot(
      {
        width: Math.max(this.place.clientWidth, 200),
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false, range: (_, low, high) => [Math.min(low ?? 1, 1), Math.max(high ?? 1, 2)] } },
        axes: [{ ...axis, values: whole, size: 34, label: "epoch", labelSize: 16, labelFont: "11px system-ui, sans-serif" }, { ...axis, size: 46 }],
        series: [{}, ...this.series.map((_, i) => ({
          stroke: () => this.#color(i), width: 2, dash: DASHES[i % DASHES.length], spanGaps: true,
          points: { show: this.#data[0].length < 30, size: 6, fill: () => this.#color(i) },
        }))],
      },
      this.#data,
      this.place,
    );
  }
}

function shown(value) {
  return value === null || value === undefined ? "–" : value.toFixed(3);
}
