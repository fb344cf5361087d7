// Every hyperparameter of a family with its default, its range and what it does; only what differs is sent.

import { el, fill } from "./dom.js";

const FIRST = ["epochs", "learning_rate", "batch", "freeze", "patience", "classes", "loss", "class_weights", "focal_gamma"];

export class HyperparameterForm {
  #rows = [];

  constructor() {
    this.element = el("div", { class: "hyperparameters" });
  }

  /** known: as hyperparametersOf gives them. */
  show(known) {
    const kept = this.value();
    this.#rows = known.map((one) => new Row(one, kept[one.name]));
    const first = FIRST.map((name) => this.#rows.find((row) => row.name === name)).filter(Boolean);
    const others = this.#rows.filter((row) => !first.includes(row));
    fill(this.element,
      el("div", { class: "hyperparameter-rows" }, first.map((row) => row.element)),
      others.length ? el("details", {}, el("summary", { text: `${others.length} more` }), el("div", { class: "hyperparameter-rows" }, others.map((row) => row.element))) : null);
  }

  /** What differs from the defaults. */
  value() {
    return Object.fromEntries(this.#rows.filter((row) => row.changed).map((row) => [row.name, row.value]));
  }

  /** Says beside its field what the service objects to; what is said of nothing here is given back. */
  object(errors) {
    for (const row of this.#rows) row.say("");
    return errors.filter(({ loc, msg }) => {
      const row = this.#rows.find(({ name }) => name === [].concat(loc).at(-1));
      row?.say(msg);
      row?.reveal();
      return !row;
    });
  }
}

class Row {
  constructor(known, given) {
    Object.assign(this, known);
    const id = `h-${known.name}`;
    this.control = control(known, given ?? known.default, id);
    this.reset = el("button", { type: "button", class: "quiet", text: "Default", "aria-label": `Default of ${known.name}`, onclick: () => this.#set(known.default) });
    this.problem = el("p", { class: "field-problem", id: `${id}-problem`, role: "alert" });
    const said = el("p", { class: "hint", id: `${id}-hint`, text: `${sentence(known.description)} ${range(known)}` });
    this.control.setAttribute("aria-describedby", `${id}-hint ${id}-problem`);
    this.element = el("div", { class: "hyperparameter", oninput: () => this.#mark(), onchange: () => this.#mark() },
      el("label", { for: id, text: known.name.replaceAll("_", " ") }), el("div", { class: "buttons" }, this.control, this.reset), said, this.problem);
    this.#mark();
  }

  get value() {
    if (this.type === "boolean") return this.control.checked;
    return this.type === "string" ? this.control.value : Number(this.control.value);
  }

  get changed() {
    return this.value !== this.default;
  }

  say(text) {
    this.problem.textContent = text;
    this.control.setAttribute("aria-invalid", String(text !== ""));
  }

  reveal() {
    this.element.closest("details")?.setAttribute("open", "");
    this.control.focus();
  }

  #set(value) {
    if (this.type === "boolean") this.control.checked = value;
    else this.control.value = String(value);
    this.#mark();
  }

  #mark() {
    this.reset.hidden = !this.changed;
    this.element.classList.toggle("changed", this.changed);
  }
}

function control({ type, minimum, maximum, enum: choices }, value, id) {
  if (type === "boolean") return el("input", { type: "checkbox", id, checked: value });
  if (choices) {
    const select = el("select", { id }, choices.map((one) => el("option", { value: String(one), text: String(one).replaceAll("_", " ") })));
    select.value = String(value);
    return select;
  }
  const step = type === "integer" ? "1" : "any";
  return el("input", { type: "number", id, required: true, min: minimum, max: maximum, step, value: String(value) });
}

function range({ type, default: usual, minimum, maximum, enum: choices }) {
  const said = type === "boolean" ? (usual ? "on" : "off") : usual;
  if (type === "boolean" || choices) return `Default: ${said}.`;
  const from = minimum === undefined && maximum === undefined ? "" : `, from ${minimum} to ${maximum}`;
  return `Default: ${said}${from}.`;
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
