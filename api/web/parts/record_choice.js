// Chooses records for a dataset: which, whose they are, and for afib-5y what followed.

import { rowsOf } from "../ecg/sheet_layout.js";
import { everyItem } from "../service/pages.js";
import { el, fill } from "./dom.js";
import { count, duration } from "./format.js";

const MOST = 5000;
const SHOWN = 300;

export class RecordChoice {
  #rows = [];
  #shown = [];

  constructor({ task, signal }) {
    Object.assign(this, { task, signal });
    this.filter = el("input", { type: "search", placeholder: "name or patient", "aria-label": "Show only", oninput: () => this.#show() });
    this.all = el("button", { type: "button", text: "Choose all shown", onclick: () => this.#chooseShown(true) });
    this.none = el("button", { type: "button", text: "None", onclick: () => this.#chooseShown(false) });
    this.said = el("p", { class: "hint", role: "status" });
    this.body = el("tbody");
    this.heads = el("tr");
    this.element = el("div", { class: "record-choice" },
      el("div", { class: "buttons" }, this.filter, this.all, this.none), this.said,
      el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Records to choose from" },
        el("table", { class: "figures" }, el("thead", {}, this.heads), this.body)));
  }

  async load() {
    this.said.textContent = "Loading the records …";
    const { items, more } = await everyItem("v1/records", { most: MOST, signal: this.signal });
    this.more = more;
    this.#rows = items.map((record) => new Row(record, () => this.#say()));
    this.setTask(this.task);
  }

  setTask(task) {
    this.task = task;
    for (const row of this.#rows) row.setTask(task);
    const titles = ["", "Record", "Leads", "Length", "Patient", ...(task === "beats" ? [] : ["AF followed"])];
    fill(this.heads, titles.map((text) => el("th", { scope: "col" }, text || el("span", { class: "visually-hidden", text: "Chosen" }))));
    this.#show();
  }

  /** {record_ids, labels, patients} as the service takes them. */
  value() {
    const chosen = this.#rows.filter((row) => row.chosen);
    const labels = chosen.filter((row) => row.label !== "").map((row) => [row.record.id, Number(row.label)]);
    const patients = chosen.filter((row) => row.patient && row.patient !== row.record.patient_id).map((row) => [row.record.id, row.patient]);
    return {
      record_ids: chosen.map((row) => row.record.id),
      labels: Object.fromEntries(this.task === "beats" ? [] : labels),
      patients: Object.fromEntries(patients),
    };
  }

  #show() {
    const wanted = this.filter.value.trim().toLowerCase();
    this.#shown = this.#rows.filter((row) => row.matches(wanted));
    fill(this.body, this.#shown.slice(0, SHOWN).map((row) => row.element));
    this.#say();
  }

  #chooseShown(on) {
    for (const row of this.#shown) row.choose(on);
    this.#say();
  }

  #say() {
    const chosen = this.#rows.filter((row) => row.chosen).length;
    const fit = this.#rows.filter((row) => row.fits).length;
    const parts = [`${count(chosen)} chosen of ${count(fit)} that fit the task`];
    if (this.#shown.length > SHOWN) parts.push(`the first ${SHOWN} of ${count(this.#shown.length)} are listed`);
    if (this.more) parts.push(`there are more than ${count(MOST)} records: use a .zip or the API for those`);
    this.said.textContent = this.#rows.length ? `${parts.join("; ")}.` : "There are no records yet: upload some first, or use a .zip.";
  }
}

class Row {
  fits = false;

  constructor(record, changed) {
    this.record = record;
    this.box = el("input", { type: "checkbox", "aria-label": `Choose ${record.name}`, onchange: changed });
    this.patientField = el("input", { type: "text", value: record.patient_id ?? "", "aria-label": `Patient of ${record.name}`, placeholder: "unknown", maxlength: "200" });
    this.labelField = el("select", { "aria-label": `Whether AF followed ${record.name}` },
      [["", "–"], ["0", "no"], ["1", "yes"]].map(([value, text]) => el("option", { value, text })));
    this.why = el("span", { class: "hint" });
    this.labelCell = el("td", {}, this.labelField);
    this.element = el("tr", {}, el("td", {}, this.box), el("th", { scope: "row" }, record.name, this.why),
      el("td", { text: String(record.leads.length) }), el("td", { text: duration(record.duration_s) }), el("td", {}, this.patientField), this.labelCell);
  }

  get chosen() {
    return this.fits && this.box.checked;
  }

  get patient() {
    return this.patientField.value.trim();
  }

  get label() {
    return this.labelField.value;
  }

  setTask(task) {
    const lack = task === "beats"
      ? this.record.has_annotations ? "" : "has no reference annotations"
      : rowsOf(this.record) ? "" : "has not the twelve leads in mV";
    this.fits = !lack;
    this.box.disabled = !this.fits;
    this.why.textContent = lack ? ` ${lack}` : "";
    this.labelCell.hidden = task === "beats";
  }

  choose(on) {
    if (this.fits) this.box.checked = on;
  }

  matches(text) {
    return !text || this.record.name.toLowerCase().includes(text) || this.patient.toLowerCase().includes(text);
  }
}
