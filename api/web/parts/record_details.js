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
  const values = { ...last, ...given };
  const inputs = Object.entries(FIELDS).map(([field, part]) => [field, input(field, part, { value: values[field] ?? "", required: wanted.includes(field) })]);
  const submit = (event) => {
    event.preventDefault();
    const filled = inputs.map(([field, { value }]) => [field, value.trim()]).filter(([, value]) => value);
    for (const [field, { value }] of inputs) if (field !== "patient_id") last[field] = value.trim();
    send(Object.fromEntries(filled), event.submitter?.value === "all");
  };
  const form = el(
    "form",
    { class: "details-form", "aria-label": `What ${name} does not say`, onsubmit: submit },
    el("p", { class: "notice small", role: "alert", text: problem }),
    el("div", { class: "form-fields" }, inputs.map(([field, element]) =>
      el("label", { class: FIELDS[field].wide ? "wide" : null }, el("span", { text: FIELDS[field].label }), element))),
    el("p", { class: "hint", text: "What the file says itself is never overruled." }),
    el("div", { class: "buttons" },
      el("button", { type: "submit", class: "primary", text: "Send with these" }),
      el("button", { type: "submit", class: "send-all", value: "all", text: "Send all that ask with these", hidden: true })),
  );
  queueMicrotask(() => inputs.find(([field]) => wanted.includes(field))[1].focus());
  return form;
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
