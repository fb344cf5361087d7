// A new dataset: of records that are here, or of an archive.

import { el, fill } from "../parts/dom.js";
import { field, radios } from "../parts/form.js";
import { failure } from "../parts/notices.js";
import { detailFields } from "../parts/record_details.js";
import { RecordChoice } from "../parts/record_choice.js";
import { announce } from "../parts/announce.js";
import { bytes } from "../parts/format.js";
import { json } from "../service/http.js";
import { Once } from "../service/once.js";
import { sendForm } from "../service/uploads.js";

const TASKS = [
  { value: "beats", text: "Beats: the label of every heartbeat" },
  { value: "afib-5y", text: "AFIB-5Y: whether atrial fibrillation followed within five years" },
];
const SOURCES = [
  { value: "records", text: "of records that are here" },
  { value: "zip", text: "of a .zip" },
];

export function newDatasetView(main, _, signal) {
  document.title = "New dataset · Ectopy";
  const form = new DatasetForm(signal);
  fill(main, el("div", { class: "page" },
    el("div", {}, el("p", { class: "crumbs" }, el("a", { href: "#/datasets", text: "Datasets" })), el("h1", { text: "New dataset" })), form.element));
  return form.choice.load();
}

class DatasetForm {
  task = "beats";
  source = "records";
  #once = new Once();

  constructor(signal) {
    this.signal = signal;
    this.name = el("input", { type: "text", required: true, maxlength: "200", autocomplete: "off" });
    this.choice = new RecordChoice({ task: this.task, signal });
    this.archive = archiveFields();
    this.outcome = el("div", { class: "outcome" });
    this.submit = el("button", { type: "submit", class: "primary", text: "Make the dataset" });
    this.element = el("form", { class: "card padded form", onsubmit: (event) => this.#make(event) },
      field("Name", this.name, { hint: "such as the ward and the months" }),
      radios("task", TASKS, { legend: "Task", chosen: this.task, onchange: (value) => this.#setTask(value) }),
      radios("source", SOURCES, { legend: "Made", chosen: this.source, onchange: (value) => this.#setSource(value) }),
      this.choice.element, this.archive.element, this.outcome, el("div", { class: "buttons" }, this.submit));
    this.#setSource(this.source);
  }

  #setTask(task) {
    this.task = task;
    this.choice.setTask(task);
    this.archive.setTask(task);
  }

  #setSource(source) {
    this.source = source;
    this.choice.element.hidden = source !== "records";
    this.archive.element.hidden = source !== "zip";
    this.archive.file.required = source === "zip";
  }

  async #make(event) {
    event.preventDefault();
    this.submit.disabled = true;
    try {
      const dataset = await (this.source === "zip" ? this.#ofArchive() : this.#ofRecords());
      announce(`${dataset.name}: ${dataset.records} records`);
      location.hash = `#/datasets/${dataset.id}`;
    } catch (error) {
      if (!this.signal.aborted) fill(this.outcome, failure(error));
    } finally {
      this.submit.disabled = false;
    }
  }

  #ofRecords() {
    const { record_ids, labels, patients } = this.choice.value();
    if (!record_ids.length) throw new Error("Choose at least one record.");
    fill(this.outcome, el("p", { role: "status", text: `Reading ${record_ids.length} records …` }));
    const body = { name: this.name.value.trim(), task: this.task, record_ids, labels, patients };
    return json("v1/datasets", {
      method: "POST",
      body,
      headers: { "Idempotency-Key": this.#once.keyOf(body) },
      signal: this.signal,
    });
  }

  async #ofArchive() {
    const files = [this.archive.file.files[0], this.archive.labels.files[0]].filter(Boolean);
    const size = files.reduce((sum, one) => sum + one.size, 0);
    const bar = el("progress", { max: "1", value: 0, "aria-label": "Upload" });
    const text = el("p", { role: "status" });
    fill(this.outcome, text, bar);
    const on = (part) => {
      bar.value = part;
      text.textContent = part < 1 ? `${bytes(part * size)} of ${bytes(size)} sent` : "Sent; the service reads every record of it …";
      if (part >= 1) bar.removeAttribute("value");
    };
    const fields = { name: this.name.value.trim(), task: this.task, ...this.archive.details.value() };
    const key = this.#once.keyOf([fields, files.map(({ name, size, lastModified }) => [name, size, lastModified])]);
    return (await sendForm("v1/datasets", { files, fields, key, on, signal: this.signal })).found;
  }
}

/** The .zip and, for a task whose labels are not in the records, a table of them. */
function archiveFields() {
  const file = el("input", { type: "file", accept: ".zip" });
  const labels = el("input", { type: "file", accept: ".csv,.txt" });
  const zip = field("Archive", file, { hint: "A .zip of records. For beats: WFDB records with their reference annotations (.atr)." });
  const table = field("labels.csv", labels, { hint: "Columns record, label (1 or 0) and, if you like, patient_id; not needed where it lies in the archive." });
  const setTask = (task) => (table.querySelector("label").textContent = task === "beats" ? "labels.csv (for patients only)" : "labels.csv");
  setTask("beats");
  const details = detailFields(["sampling_rate_hz", "units", "leads"]);
  const more = el("details", {}, el("summary", { text: "For files that do not say it: rate, unit, leads" }), details.element);
  return { element: el("div", { class: "form" }, zip, table, more), file, labels, details, setTask };
}
