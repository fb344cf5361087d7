// A new fine-tune: on which dataset, from which model, and how.

import { announce } from "../parts/announce.js";
import { classesOf } from "../ecg/classes.js";
import { el, fill } from "../parts/dom.js";
import { field, radios } from "../parts/form.js";
import { count, several } from "../parts/format.js";
import { HyperparameterForm } from "../parts/hyperparameter_form.js";
import { failure } from "../parts/notices.js";
import { start } from "../service/fine_tunes.js";
import { hyperparametersOf } from "../service/hyperparameters.js";
import { versionsFor } from "../service/models.js";
import { Once } from "../service/once.js";
import { everyItem } from "../service/pages.js";
import { TASK_NAMES } from "./datasets.js";

const HEADS = [
  { value: "keep", text: "Keep the base's head: the same classes, going on from what it knows" },
  { value: "reset", text: "Begin a new head: other classes, or a pre-trained base that has none" },
];

export async function newFineTuneView(main, [datasetId], signal) {
  document.title = "New fine-tune · Ectopy";
  const { items } = await everyItem("v1/datasets", { signal });
  const form = new FineTuneForm(items, datasetId, signal);
  fill(main, el("div", { class: "page" },
    el("div", {}, el("p", { class: "crumbs" }, el("a", { href: "#/fine-tunes", text: "Fine-tunes" })), el("h1", { text: "New fine-tune" })),
    items.length ? form.element : el("p", {}, "A fine-tune needs a dataset. ", el("a", { href: "#/datasets/new", text: "Make one first." }))));
  if (items.length) await form.begin();
}

class FineTuneForm {
  head = "keep";
  #once = new Once();

  constructor(datasets, chosen, signal) {
    Object.assign(this, { datasets, signal });
    this.dataset = el("select", { required: true, onchange: () => this.#datasetChanged() },
      datasets.map((one) => el("option", { value: one.id, text: `${one.name} (${TASK_NAMES[one.task]})` })));
    if (datasets.some(({ id }) => id === chosen)) this.dataset.value = chosen;
    this.content = el("p", { class: "hint" });
    this.base = el("select", { required: true, onchange: () => this.#baseChanged() });
    this.baseSaid = el("p", { class: "hint" });
    this.heads = el("div", {});
    this.name = el("input", { type: "text", maxlength: "100", autocomplete: "off", placeholder: "the base's own, or one beside it" });
    this.hyperparameters = new HyperparameterForm();
    this.outcome = el("div", { class: "outcome" });
    this.submit = el("button", { type: "submit", class: "primary", text: "Start the fine-tune" });
    this.element = el("form", { class: "card padded form", onsubmit: (event) => this.#start(event) },
      field("Dataset", this.dataset), this.content,
      field("Base", this.base), this.baseSaid, this.heads,
      field("Name of the model that it becomes a version of", this.name, { hint: "Letters, digits, dots, dashes and underscores." }),
      el("section", { "aria-label": "Hyperparameters" }, el("h2", { text: "Hyperparameters" }),
        el("p", { class: "hint", text: "The defaults are those of the guides. Patients are divided into those that train, those that choose the epoch, and those that the report is of: none is in two parts." }),
        this.hyperparameters.element),
      this.outcome, el("div", { class: "buttons" }, this.submit));
  }

  begin() {
    return this.#datasetChanged();
  }

  get #chosen() {
    return this.datasets.find(({ id }) => id === this.dataset.value);
  }

  async #datasetChanged() {
    const { task, records, patients, counts } = this.#chosen;
    const parts = task === "beats" ? classesOf(counts).map(({ label }) => `${label} ${count(counts[label])}`) : [`${count(counts["1"])} with the event`, `${count(counts["0"])} without`];
    this.content.textContent = `${several(records, "record")} of ${several(patients, "patient")}: ${parts.join(", ")}.`;
    if (task === this.task) return;
    this.task = task;
    this.versions = await versionsFor(task, this.signal, { all: true });
    fill(this.base, this.versions.map((one, i) => el("option", { value: String(i), text: versionText(one) })));
    this.submit.disabled = !this.versions.length;
    if (this.versions.length) await this.#baseChanged();
    else fill(this.outcome, failure({ title: "No model to start from", detail: "A base for this task has to be imported first: the Models page and docs/deepecg.md say how." }));
  }

  async #baseChanged() {
    const base = this.versions[Number(this.base.value)];
    const headless = base.card?.predicts === false;
    this.baseSaid.textContent = [base.promoted ? "This version answers now." : "", headless ? "A pre-trained base: it has no head, so a new one begins." : "", base.synthetic ? "Weights made by formula: they have learned nothing." : ""].filter(Boolean).join(" ");
    this.head = headless ? "reset" : "keep";
    fill(this.heads, radios("head", HEADS, { legend: "Head", chosen: this.head, onchange: (value) => (this.head = value) }));
    if (headless) this.heads.querySelector("input[value=keep]").disabled = true;
    this.hyperparameters.show(await hyperparametersOf(base.family, this.signal));
  }

  async #start(event) {
    event.preventDefault();
    this.submit.disabled = true;
    const base = this.versions[Number(this.base.value)];
    const name = this.name.value.trim();
    try {
      const body = { task: this.task, dataset_id: this.dataset.value, base: `${base.name}@${base.version}`, head: this.head, hyperparameters: this.hyperparameters.value() };
      const named = name ? { ...body, name } : body;
      const begun = await start(named, { key: this.#once.keyOf(named), signal: this.signal });
      announce("The fine-tune is accepted");
      location.hash = `#/fine-tunes/${begun.id}`;
    } catch (error) {
      if (!this.signal.aborted) this.#refused(error);
    } finally {
      this.submit.disabled = false;
    }
  }

  /** What is said of a hyperparameter stands beside it. */
  #refused(error) {
    const errors = this.hyperparameters.object(error.errors ?? []);
    const placed = (error.errors?.length ?? 0) > errors.length;
    fill(this.outcome, failure(placed ? { ...error, title: error.title, detail: error.detail, status: error.status, errors } : error));
  }
}

function versionText({ name, version, promoted, synthetic, card }) {
  const said = [promoted ? "answers now" : "", synthetic ? "made up" : "", card?.predicts === false ? "pre-trained, no head" : ""].filter(Boolean);
  return `${name}@${version}${said.length ? ` (${said.join(", ")})` : ""}`;
}
