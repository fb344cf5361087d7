// How far long work is, in a word with a sign.

import { el } from "./dom.js";

const SIGNS = { queued: "…", running: "▶", succeeded: "✓", failed: "✕", cancelled: "■" };

export function statusBadge(status) {
  return el("span", { class: `status-badge ${status}` }, el("span", { "aria-hidden": "true", text: `${SIGNS[status] ?? ""} ` }), status);
}
