// What a file does not say about itself and a person can: rate, unit, leads, patient. The values stay for
// the next file that asks, as files of one device mostly lack the same.

import { el } from "./dom.js";

const FIELDS = {
  sampling_rate_hz: { label: "Sampling rate (Hz)", type: "number", min: "1", step: "any", placeholder: "500" },
  units: { label: "Unit of the samples", list: ["mV", "uV", "V"], placeholder: "mV" },
  leads: { label: "Leads, in the order of the file", placeholder: "I, II, V1", wide: true },
  patient_id: { label: "Patient (a pseudonym)", placeholder: "optional" },
};
const last = {};

/** Which fields an answer asks for; none when it is about something else. */
export function fieldsNeeded(error) {
  if (error.status !== 422) return [];
  const named = (error.errors ?? []).map(({ loc }) => [].concat(loc ?? []).at(-1));
  return named.filter((name) => name in FIELDS);
}

/** given: what was sent before. send(fields, all): called with what was filled in, for this file or for all that ask. */
export function detailsForm({ name, problem, wanted, given = {}, send }) {
  const fields = detailFields(Object.keys(FIELDS), { given: { ...last, ...given }, wanted });
  const submit = (event) => {
    event.preventDefault();
    const filled = fields.value();
    for (const field of Object.keys(FIELDS)) if (field !== "patient_id") last[field] = filled[field] ?? "";
    send(filled, event.submitter?.value === "all");
  };
  const form = el(
    "form",
    { class: "details-form", "aria-label": `What ${name} does not say`, onsubmit: submit },
    el("p", { class: "notice small", role: "alert", text: problem }),
    fields.element,
    el("p", { class: "hint", text: "What the file says itself is never overruled." }),
    el("div", { class: "buttons" },
      el("button", { type: "submit", class: "primary", text: "Send with these" }),
      el("button", { type: "submit", class: "send-all", value: "all", text: "Send all that ask with these", hidden: true })),
  );
  queueMicrotask(() => form.querySelector(`[name="${wanted[0]}"]`).focus());
  return form;
}

/** Inputs for some of the fields: {element, value()}, the value without what was left empty. */
export function detailFields(names, { given = {}, wanted = [] } = {}) {
  const inputs = names.map((field) => [field, input(field, FIELDS[field], { value: given[field] ?? "", required: wanted.includes(field) })]);
  const element = el("div", { class: "form-fields" }, inputs.map(([field, control]) =>
    el("label", { class: FIELDS[field].wide ? "wide" : null }, el("span", { text: FIELDS[field].label }), control)));
  const value = () => Object.fromEntries(inputs.map(([field, control]) => [field, control.value.trim()]).filter(([, text]) => text));
  return { element, value };
}

function input(field, { list, type = "text", min, step, placeholder }, { value, required }) {
  if (list) {
    const options = [el("option", { value: "", text: required ? "choose" : "as the file says, or mV" }), ...list.map((unit) => el("option", { value: unit, text: unit }))];
    const select = el("select", { name: field, required }, options);
    select.value = value;
    return select;
  }
  return el("input", { name: field, placeholder, required, autocomplete: "off", value, type, min, step });
}
