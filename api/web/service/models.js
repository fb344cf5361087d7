// Which models there are for a task, and which version of them answers when none is named.

import { jsonWhenReached } from "./http.js";
import { everyItem } from "./pages.js";

/** Every model, in the order of their names. */
export async function allModels(signal) {
  return (await everyItem("v1/models", { signal })).items;
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
