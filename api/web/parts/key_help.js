// The list of keys, in a dialog.

import { keysOn, setKeysOn } from "../ecg/keys.js";
import { el } from "./dom.js";

export function showKeyHelp(table) {
  const rows = table.map(({ show, does }) =>
    el("div", {}, el("dt", {}, show.split(" ").map((key) => el("kbd", { text: key }))), el("dd", { text: does })));
  const on = el("input", { type: "checkbox", checked: keysOn(), onchange: (e) => setKeysOn(e.target.checked) });
  const dialog = el(
    "dialog",
    { class: "dialog keys", "aria-labelledby": "keys-title" },
    el("h2", { id: "keys-title", text: "Keys" }),
    el("dl", { class: "key-list" }, rows),
    el("p", { class: "hint", text: "Drag to pan; pinch, Ctrl + wheel, or the wheel after a click on the trace to zoom; double-click to close in." }),
    el("label", { class: "check" }, on, " Keys that are one letter or sign"),
    el("div", { class: "dialog-buttons" },
      el("button", { type: "button", text: "Close", onclick: () => dialog.close() })),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
