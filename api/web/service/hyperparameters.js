// What a fine-tune may choose: names, types, defaults, ranges and meanings, from the service's own document.

import { jsonWhenReached } from "./http.js";

let document = null;

/** [{name, type, default, description, minimum, maximum, enum}] of a model family; empty when it has none. */
export async function hyperparametersOf(family, signal) {
  document ??= await jsonWhenReached("openapi.json", { signal });
  const { anyOf = [] } = document.components.schemas.FineTuneIn?.properties.hyperparameters ?? {};
  const found = anyOf.find(({ title }) => title?.endsWith(`(${family})`));
  return Object.entries(found?.properties ?? {}).map(([name, part]) => ({ name, ...part }));
}
