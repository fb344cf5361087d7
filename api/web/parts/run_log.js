// What happened to a run, newest first: states, checkpoints, remarks.

import { el, fill } from "./dom.js";
import { inOrder, label } from "./run_curves.js";

const KEPT = 200;

export class RunLog {
  #seen = new Map();

  constructor() {
    this.list = el("ol", { class: "run-log plain" });
    this.element = el("section", { class: "card padded", "aria-label": "What happened" }, el("h2", { text: "What happened" }),
      el("div", { class: "tall scroll", tabindex: "0", role: "region", "aria-label": "Events" }, this.list));
  }

  /** event: {id, event, data}; the same one may come again after a lost connection. */
  add({ id, event, data }) {
    const text = words(event, data);
    if (!text || this.#seen.has(id)) return;
    this.#seen.set(id, { at: data.at, text });
    const newest = [...this.#seen.values()].slice(-KEPT).reverse();
    fill(this.list, newest.map((one) => el("li", {}, el("time", { datetime: one.at ?? null, text: one.at ? new Date(one.at).toLocaleTimeString() : "" }), ` ${one.text}`)));
  }
}

function words(event, data) {
  if (event === "log") return data.message;
  if (event === "status") return data.status;
  if (event === "epoch") return `epoch ${data.epoch} of ${data.epochs}: loss ${data.loss.toFixed(4)}`;
  if (event !== "checkpoint" || data.kind !== "best") return null;
  const { metrics = {} } = data;
  const figures = inOrder(Object.keys(metrics)).slice(0, 3).map((name) => `${label(name)} ${Number(metrics[name]).toFixed(3)}`);
  return `best so far: epoch ${data.epoch}${figures.length ? ` (${figures.join(", ")})` : ""}`;
}
