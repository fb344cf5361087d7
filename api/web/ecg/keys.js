// The keys of a record: one table for what they do and for the help that lists them.

import { keep, kept } from "../parts/kept.js";

const PAN = 0.25;
const ZOOM = 1.5;

/** [{keys, does, act(event)}] */
export function keyTable({ view, jumps, actions }) {
  const step = (event) => (event.shiftKey ? -1 : 1);
  return [
    { keys: ["ArrowLeft", "ArrowRight"], show: "← →", does: "Pan (Shift: a whole view)", act: (e) => {
      const way = e.key === "ArrowLeft" ? -1 : 1;
      view.pan(way * view.span_s * (e.shiftKey ? 1 : PAN));
    } },
    { keys: ["+", "=", "ArrowUp"], show: "+", does: "Closer", act: () => view.zoom(1 / ZOOM) },
    { keys: ["-", "_", "ArrowDown"], show: "−", does: "Wider", act: () => view.zoom(ZOOM) },
    { keys: ["0"], show: "0", does: "25 mm/s, as on paper", act: () => actions.paperSpeed() },
    { keys: ["w"], show: "w", does: "The whole record", act: () => view.glide(0, view.duration_s) },
    { keys: ["Home"], show: "Home", does: "To the start", act: () => view.glide(0) },
    { keys: ["End"], show: "End", does: "To the end", act: () => view.glide(view.duration_s) },
    { keys: ["n", "p"], show: "n p", does: "Next, previous beat that is not normal", act: (e) => jumps.toAbnormal(e.key.toLowerCase() === "n" ? 1 : -1) },
    { keys: [".", ","], show: ". ,", does: "Next, previous beat", act: (e) => jumps.toAny(e.key === "." ? 1 : -1) },
    ...["s", "v", "f", "q"].map((key) => ({
      keys: [key],
      show: key,
      does: `Next ${key.toUpperCase()} beat (Shift: previous)`,
      act: (e) => jumps.toClass(key.toUpperCase(), step(e)),
    })),
    { keys: ["u"], show: "u", does: "Least certain beats, one after the other (Shift: back)", act: (e) => jumps.toUncertain(step(e)) },
    { keys: ["d"], show: "d", does: "Next disagreement with the reference (Shift: previous)", act: (e) => jumps.toDisagreement(step(e)) },
    { keys: ["l"], show: "l", does: "12-lead sheet, or the leads one below the other", act: () => actions.otherLayout() },
    { keys: ["r"], show: "r", does: "Reference annotations on or off", act: () => actions.toggleReference() },
    { keys: ["Escape"], show: "Esc", does: "Let go of the chosen beat", act: () => actions.release() },
    { keys: ["?"], show: "?", does: "This list", act: () => actions.help() },
  ];
}

export function keysOn() {
  return kept("keys", "on") === "on";
}

export function setKeysOn(on) {
  keep("keys", on ? "on" : "off");
}

/** Acts on the table's keys until the signal ends; single letters can be turned off (WCAG 2.1.4). */
export function listenToKeys(table, signal) {
  const byKey = new Map(table.flatMap((row) => row.keys.map((key) => [key, row])));
  const listen = (event) => {
    const row = byKey.get(event.key) ?? byKey.get(event.key.toLowerCase());
    if (!row || event.ctrlKey || event.metaKey || event.altKey || isTaken(event)) return;
    if (event.key.length === 1 && event.key !== "?" && !keysOn()) return;
    event.preventDefault();
    row.act(event);
  };
  addEventListener("keydown", listen, { signal });
}

/** Where a key has its own meaning: fields, an open dialog, arrows on a control that uses them. */
function isTaken(event) {
  const { target } = event;
  if (document.querySelector("dialog[open]")) return true;
  // a field of a dialog that was just closed keeps the focus for a moment, unseen
  if (target.closest?.("input, select, textarea, [contenteditable]")?.checkVisibility()) return true;
  const inTable = target.closest?.(".beat-table, .trace-free-scroll, summary");
  return Boolean(inTable) && /^(Arrow|Home|End)/.test(event.key);
}
