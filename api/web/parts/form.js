// Pieces that forms are made of.

import { el } from "./dom.js";

/** A labelled control; `hint` is read with it. */
export function field(label, control, { hint = "", wide = false } = {}) {
  const id = control.id || `f-${crypto.randomUUID().slice(0, 8)}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el("div", { class: wide ? "field wide" : "field" },
    el("label", { for: id, text: label }), control,
    hint ? el("p", { class: "hint", id: `${id}-hint`, text: hint }) : null);
}

/** One of a few: [{value, text}]; `onchange(value)`. */
export function radios(name, choices, { chosen, onchange, legend }) {
  const inputs = choices.map(({ value, text }) =>
    el("label", { class: "check" }, el("input", { type: "radio", name, value, checked: value === chosen, onchange: () => onchange(value) }), ` ${text}`));
  return el("fieldset", { class: "radios" }, el("legend", { text: legend }), inputs);
}

export function options(values, chosen) {
  return values.map(({ value, text }) => {
    const option = el("option", { value, text });
    option.selected = value === chosen;
    return option;
  });
}
