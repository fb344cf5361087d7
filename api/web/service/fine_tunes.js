// Starts, follows, cancels and resumes fine-tunes.

import { connection } from "./connection.js";
import { followEvents } from "./event_stream.js";
import { json, jsonWhenReached } from "./http.js";

const PATH = "v1/fine-tunes";
const LOOK_EVERY_MS = 2000;
export const ENDED = new Set(["succeeded", "failed", "cancelled"]);

export function start(body, { key, signal }) {
  return json(PATH, { method: "POST", body, headers: { "Idempotency-Key": key }, signal });
}

export function get(id, signal) {
  return jsonWhenReached(`${PATH}/${id}`, { signal });
}

export function cancel(id) {
  return json(`${PATH}/${id}/cancel`, { method: "POST" });
}

/** Goes on from the last checkpoint; `epochs` in all, or as many as were asked for before. */
export function resume(id, epochs) {
  return json(`${PATH}/${id}/resume`, { method: "POST", body: epochs ? { epochs } : {} });
}

export function report(id, signal) {
  return jsonWhenReached(`${PATH}/${id}/report`, { signal });
}

export function checkpoints(id, signal) {
  return jsonWhenReached(`${PATH}/${id}/checkpoints`, { signal });
}

/** The fine-tune once it has ended. `event({id, event, data})` hears of all that happened, from the
 * beginning; `look(fineTune)` of how far it is. */
export async function followed(fineTune, { event, look, signal }) {
  let found = fineTune;
  for (;;) {
    const asking = new AbortController();
    keepLooking(found, { look, signal: AbortSignal.any([signal, asking.signal]) });
    try {
      await followEvents(`${PATH}/${found.id}/events`, { on: event, signal });
    } finally {
      asking.abort();
    }
    found = await get(found.id, signal);
    look(found);
    // once more when the service ended the stream because it was itself stopped
    if (ENDED.has(found.status)) return found;
  }
}

/** Events tell of epochs; how far it is within one has to be asked. */
async function keepLooking({ id, status }, { look, signal }) {
  while (!signal.aborted && !ENDED.has(status)) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    if (signal.aborted || connection.lost) continue;
    try {
      const found = await json(`${PATH}/${id}`, { signal });
      if (!signal.aborted) look(found);
    } catch {
      // the events say what is to be said
    }
  }
}
