// Asks, then removes; a removal that failed is said where the thing is.

import { json } from "../service/http.js";
import { announce } from "./announce.js";
import { confirmed } from "./confirm.js";
import { el } from "./dom.js";
import { failure } from "./notices.js";

/** `detail` says what is lost; removed() is called once it is. */
export async function remove({ path, name, detail, removed }) {
  const sure = await confirmed({ title: `Remove ${name}?`, detail, action: "Remove" });
  if (!sure) return;
  try {
    await json(path, { method: "DELETE" });
    announce(`${name} was removed`);
    await removed();
  } catch (error) {
    document.getElementById("main").prepend(failure(error));
  }
}

export function removeButton(what) {
  return el("button", { type: "button", class: "quiet danger-text", text: "Remove", "aria-label": `Remove ${what.name}`, onclick: () => remove(what) });
}
