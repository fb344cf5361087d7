// Which models there are for a task, and which version of them answers when none is named.

import { jsonWhenReached } from "./http.js";

/** Every model, in the order of their names. */
export async function allModels(signal) {
  const found = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: "100", ...(cursor ? { cursor } : {}) });
    const { data, next_cursor } = await jsonWhenReached(`v1/models?${query}`, { signal });
    found.push(...data);
    cursor = next_cursor;
  } while (cursor);
  return found;
}

export async function versionsOf(name, signal) {
  return (await jsonWhenReached(`v1/models/${encodeURIComponent(name)}/versions`, { signal })).data;
}

/** [{name, version, promoted, synthetic, card}] of a task that can predict, promoted ones first. */
export async function versionsFor(task, signal) {
  const models = (await allModels(signal)).filter((model) => model.task === task);
  const found = (await Promise.all(models.map(({ name }) => versionsOf(name, signal)))).flat();
  const usable = found.filter(({ card }) => card?.predicts !== false);
  return usable.sort((a, b) => Number(b.promoted) - Number(a.promoted));
}
