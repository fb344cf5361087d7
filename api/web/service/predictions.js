// Asks for a prediction and follows it to its end, through lost connections.

import { connection } from "./connection.js";
import { followEvents } from "./event_stream.js";
import { json, jsonWhenReached } from "./http.js";

const PROGRESS_EVERY_MS = 1000;
export const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** The newest prediction of a record for a task, perhaps without its result; null when there is none. */
export async function newestOfRecord(recordId, task, signal) {
  const query = new URLSearchParams({ record_id: recordId, task, limit: "1" });
  return (await jsonWhenReached(`v1/predictions?${query}`, { signal })).data[0] ?? null;
}

/** A new prediction; the key makes a repeated request give the same one. `model`: name or name@version. */
export function ask(recordId, { task = "beats", model = "", signal }) {
  return jsonWhenReached("v1/predictions", {
    method: "POST",
    body: { record_id: recordId, task, ...(model ? { model } : {}) },
    headers: { "Idempotency-Key": crypto.randomUUID() },
    signal,
  });
}

export function cancel(predictionId) {
  return json(`v1/predictions/${predictionId}/cancel`, { method: "POST" });
}

/** The prediction once it has ended, whole; `on` hears of its status and progress. */
export async function followed(prediction, { on, signal }) {
  let found = prediction;
  while (!ENDED.has(found.status)) {
    await untilEnded(found, { on, signal });
    // once more when the service ended the stream because it was itself stopped
    found = await jsonWhenReached(`v1/predictions/${prediction.id}`, { signal });
  }
  const whole = found.task !== "beats" || found.result?.beats;
  return whole || found.status !== "succeeded" ? found : jsonWhenReached(`v1/predictions/${prediction.id}`, { signal });
}

/** Events tell at once that it has ended; how far it is has to be asked. */
async function untilEnded(prediction, { on, signal }) {
  let ended = false;
  const events = followEvents(`v1/predictions/${prediction.id}/events`, {
    signal,
    on: ({ data }) => on({ status: data.status }),
  }).finally(() => (ended = true));
  const asking = async () => {
    while (!ended && !signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, PROGRESS_EVERY_MS));
      if (ended || signal.aborted || connection.lost) continue;
      const { status, progress } = await json(`v1/predictions/${prediction.id}`, { signal });
      if (!ended) on({ status, progress });
    }
  };
  asking().catch(() => {});
  await events;
}
