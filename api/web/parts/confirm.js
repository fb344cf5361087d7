// Asks before something is lost.

import { el } from "./dom.js";

/** Resolves to true only when the person says so. */
export function confirmed({ title, detail, action, keep = "Keep it" }) {
  return new Promise((resolve) => {
    const dialog = el(
      "dialog",
      { class: "dialog", "aria-labelledby": "confirm-title" },
      el("h2", { id: "confirm-title", text: title }),
      el("p", { text: detail }),
      el("div", { class: "dialog-buttons" },
        el("button", { type: "button", text: keep, onclick: () => dialog.close("") }),
        el("button", { type: "button", class: "danger", text: action, onclick: () => dialog.close("yes") })),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
