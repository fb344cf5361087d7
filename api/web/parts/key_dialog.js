// Asks for an API key when the service wants one, and shows that one is held.

import { access } from "../service/access.js";
import { announce } from "./announce.js";
import { el } from "./dom.js";

export function askForKeys() {
  access.addEventListener("wanted", ({ detail }) => keyDialog(detail));
}

/** A button that is there while a key is held: to use another one or to forget it. */
export function keyButton() {
  const button = el("button", { type: "button", class: "quiet", text: "Key", title: "The API key of this page", onclick: () => keyDialog({}) });
  const show = () => (button.hidden = !access.key);
  access.addEventListener("change", show);
  show();
  return button;
}

/** given(): a key was entered; declined(): the dialog was closed without. */
export function keyDialog({ problem = null, given = () => location.reload(), declined = () => {} }) {
  const input = el("input", { type: "password", id: "api-key", autocomplete: "off", spellcheck: "false", required: true, placeholder: "ectopy_…" });
  const remember = el("input", { type: "checkbox" });
  const dialog = el("dialog", { class: "dialog", "aria-labelledby": "key-title" });
  const close = (what) => dialog.close(what);
  const submit = (event) => {
    event.preventDefault();
    access.hold(input.value.trim(), { remember: remember.checked });
    close("given");
  };
  const forget = () => {
    access.forget();
    announce("The key was forgotten");
    close("forgotten");
  };
  dialog.append(
    el("h2", { id: "key-title", text: problem ? "This service asks for an API key" : "API key" }),
    problem ? el("p", { class: access.key ? "notice small" : "hint", text: problem.detail }) : el("p", { class: "hint", text: `This page sends a key that begins with ${access.key.slice(0, 15)}.` }),
    el("form", { class: "key-form", onsubmit: submit },
      el("label", { for: "api-key", text: problem ? "Key" : "Another key" }), input,
      el("label", { class: "check" }, remember, " Keep it in this browser, else until this tab is closed"),
      el("div", { class: "dialog-buttons" },
        access.key && !problem ? el("button", { type: "button", class: "danger-text", text: "Forget it", onclick: forget }) : null,
        el("button", { type: "button", text: "Cancel", onclick: () => close("") }),
        el("button", { type: "submit", class: "primary", text: "Use it" }))),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue === "given") given();
    else if (dialog.returnValue === "forgotten") location.reload();
    else declined();
  });
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}
