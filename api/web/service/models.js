// Which models there are for a task, and which version of them answers when none is named.

import { json, jsonWhenReached } from "./http.js";
import { everyItem } from "./pages.js";

/** Every model, in the order of their names. */
export async function allModels(signal) {
  return (await everyItem("v1/models", { signal })).items;
}

export async function versionsOf(name, signal) {
  return (await jsonWhenReached(`v1/models/${encodeURIComponent(name)}/versions`, { signal })).data;
}

/** [{name, version, family, promoted, synthetic, card}] of a task, promoted ones first; those that cannot
 * predict, but be a base, only with `all`. */
export async function versionsFor(task, signal, { all = false } = {}) {
  const models = (await allModels(signal)).filter((model) => model.task === task);
  const found = (await Promise.all(models.map(({ name }) => versionsOf(name, signal)))).flat();
  const usable = found.filter(({ card }) => all || card?.predicts !== false);
  return usable.sort((a, b) => Number(b.promoted) - Number(a.promoted));
}

/** [{version, previous_version, action, overruled, created_at}]: which version answered when, newest first. */
export async function promotionsOf(name, signal) {
  return (await jsonWhenReached(`v1/models/${encodeURIComponent(name)}/promotions`, { signal })).data;
}

/** Makes a version the one that answers; 409 where its report is worse, unless it is forced. */
export function promote(name, version, { force = false } = {}) {
  const path = `v1/models/${encodeURIComponent(name)}/versions/${version}/promote`;
  return json(force ? `${path}?force=true` : path, { method: "POST" });
}

/** Back to the version that answered before. */
export function rollback(name) {
  return json(`v1/models/${encodeURIComponent(name)}/rollback`, { method: "POST" });
}
