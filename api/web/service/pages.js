// All of a list, page after page.

import { jsonWhenReached } from "./http.js";

/** Every item of a list, at most `most`; {items, more}: `more` when there are still others. */
export async function everyItem(path, { query = {}, most = 2000, signal }) {
  const items = [];
  let cursor = null;
  do {
    const asked = new URLSearchParams({ limit: "100", ...query, ...(cursor ? { cursor } : {}) });
    const { data, next_cursor } = await jsonWhenReached(`${path}?${asked}`, { signal });
    items.push(...data);
    cursor = next_cursor;
  } while (cursor && items.length < most);
  return { items, more: cursor !== null };
}
