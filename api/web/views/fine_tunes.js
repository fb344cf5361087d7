// Fine-tunes: all of them, and one on its way or done.

import { announce } from "../parts/announce.js";
import { confirmed } from "../parts/confirm.js";
import { el, fill } from "../parts/dom.js";
import { duration, moment, several, trimmed } from "../parts/format.js";
import { failure } from "../parts/notices.js";
import { cell, PagedTable } from "../parts/paged_table.js";
import { promotionPanel } from "../parts/promotion.js";
import { ReportPanel } from "../parts/report_panel.js";
import { label, RunCurves } from "../parts/run_curves.js";
import { RunLog } from "../parts/run_log.js";
import { statusBadge } from "../parts/status_badge.js";
import { connection } from "../service/connection.js";
import * as fineTunes from "../service/fine_tunes.js";
import { TASK_NAMES } from "./datasets.js";
import { versionHref } from "./models.js";

const MAIN_FIGURES = ["macro_f1", "auroc"];

export async function fineTunesView(main, _, signal) {
  document.title = "Fine-tunes · Ectopy";
  const list = new PagedTable({
    path: "v1/fine-tunes", row, signal, label: "Fine-tunes", older: "Older fine-tunes", empty: nothingYet,
    heads: ["Fine-tune", "Task", "Status", "Epochs", "Validation", "Base", "Became", "Begun"],
  });
  fill(main, el("div", { class: "page" },
    el("div", { class: "page-head card-head" }, el("h1", { text: "Fine-tunes" }), el("a", { class: "button primary", href: "#/fine-tunes/new", text: "New fine-tune" })),
    el("p", { class: "hint", text: "Models trained further on your own labelled records, measured on patients that training never saw." }),
    list.element));
  await list.load();
}

function row(run) {
  const figure = MAIN_FIGURES.find((name) => name in run.metrics);
  return el("tr", {},
    el("th", { scope: "row" }, el("a", { href: `#/fine-tunes/${run.id}`, text: run.name })),
    cell("Task", TASK_NAMES[run.task]),
    cell("Status", statusBadge(run.status)),
    cell("Epochs", `${run.epoch} of ${run.epochs}`),
    cell("Validation", figure ? `${label(figure)} ${run.metrics[figure].toFixed(3)}` : "–"),
    cell("Base", `${run.base.name}@${run.base.version}`),
    cell("Became", run.result_model ? versionLink(run.result_model) : "–"),
    cell("Begun", moment(run.created_at)));
}

function versionLink({ name, version }) {
  return el("a", { href: versionHref(name, version), text: `${name}@${version}` });
}

function nothingYet() {
  return el("div", { class: "empty" },
    el("p", {}, el("strong", { text: "No fine-tunes yet." })),
    el("p", { class: "hint", text: "Choose a dataset and a model to begin from; the defaults are those of the guides." }),
    el("p", {}, el("a", { class: "button", href: "#/fine-tunes/new", text: "New fine-tune" })));
}

export async function fineTuneView(main, [id], signal) {
  const run = await fineTunes.get(id, signal);
  document.title = `${run.name} · Ectopy`;
  const page = new RunPage(signal);
  fill(main, page.element);
  await page.follow(run);
}

class RunPage {
  constructor(signal) {
    this.signal = signal;
    this.head = el("div", {});
    this.state = el("section", { class: "card padded run-state", "aria-label": "State" });
    this.curves = new RunCurves(signal);
    this.report = el("div", {});
    this.facts = el("section", { class: "card padded", "aria-label": "What it is trained on" });
    this.log = new RunLog();
    this.element = el("div", { class: "page wide" }, this.head, this.state, this.report,
      el("section", { "aria-label": "Curves" }, this.curves.element), el("div", { class: "curves" }, this.facts, this.log.element));
    connection.addEventListener("change", () => this.run && this.#showState(), { signal });
  }

  async follow(run) {
    this.#look(run);
    if (!fineTunes.ENDED.has(run.status)) announce(`${run.name} is ${run.status}`);
    const before = run.status;
    const ended = await fineTunes.followed(run, { event: (one) => this.#happened(one), look: (found) => this.#look(found), signal: this.signal });
    if (ended.status !== before) announce(`${ended.name} has ${ended.status === "succeeded" ? "succeeded" : `ended: ${ended.status}`}`);
    if (ended.status === "succeeded") await this.#showReport(ended);
  }

  #happened(event) {
    if (event.event === "epoch") this.curves.set([event.data]);
    this.log.add(event);
  }

  #look(run) {
    this.run = run;
    this.curves.set(run.history ?? []);
    this.#showHead();
    this.#showState();
    this.#showFacts();
  }

  #showHead() {
    const { name, task, base, created_at } = this.run;
    const text = `${TASK_NAMES[task]} · from ${base.name}@${base.version} · begun ${moment(created_at)}`;
    if (this.headSaid === text) return;
    this.headSaid = text;
    fill(this.head, el("p", { class: "crumbs" }, el("a", { href: "#/fine-tunes", text: "Fine-tunes" })), el("h1", { text: name }), el("p", { class: "hint", text }));
  }

  #showState() {
    const { status, progress, epoch, epochs, eta_s, error, result_model } = this.run;
    const ended = fineTunes.ENDED.has(status);
    this.bar ??= el("progress", { max: "1", "aria-label": "Progress" });
    this.bar.value = progress;
    const words = [
      `epoch ${epoch} of ${epochs}`,
      !ended && status === "running" ? `${Math.round(progress * 100)} %` : null,
      !ended && eta_s ? `about ${duration(eta_s)} of training left` : null,
      connection.lost && !ended ? "connection lost; the run goes on, and so does this page when the service answers" : null,
    ].filter(Boolean).join(" · ");
    const shown = [status, words, JSON.stringify(error)].join();
    if (shown === this.stateSaid) return;
    this.stateSaid = shown;
    fill(this.state,
      el("div", { class: "card-head" }, el("p", {}, statusBadge(status), ` ${words}`), el("div", { class: "buttons" }, ended ? this.#resumeTools() : this.#cancelTools())),
      ended ? null : this.bar,
      error ? failure(error) : null,
      result_model ? el("p", {}, "It became ", versionLink(result_model), ".") : null);
  }

  #cancelTools() {
    return el("button", { type: "button", text: "Cancel", onclick: (event) => this.#act(event.target, async () => {
      const sure = await confirmed({ title: `Cancel ${this.run.name}?`, detail: "The last checkpoint is kept: the run can be resumed from it.", action: "Cancel the run", keep: "Go on" });
      if (sure) this.#look(await fineTunes.cancel(this.run.id));
    }) });
  }

  /** On from the last checkpoint; a run that has succeeded needs more epochs for it. */
  #resumeTools() {
    const { status, epochs } = this.run;
    const least = status === "succeeded" ? epochs + 1 : Math.max(this.run.epoch, 1);
    const wanted = el("input", { type: "number", min: String(least), max: "100000", value: String(Math.max(epochs, least)), "aria-label": "Epochs in all", class: "short" });
    const go = (event) => this.#act(event.target, async () => {
      if (!wanted.reportValidity()) return;
      await this.follow(await fineTunes.resume(this.run.id, Number(wanted.value)));
    });
    return [el("label", { class: "check" }, "to epoch ", wanted), el("button", { type: "button", text: status === "succeeded" ? "Train on" : "Resume", onclick: go })];
  }

  async #act(button, act) {
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      if (!this.signal.aborted) this.state.append(failure(error));
    } finally {
      button.disabled = false;
    }
  }

  async #showReport(run) {
    const [report, promotion] = await Promise.all([fineTunes.report(run.id, this.signal), promotionPanel(run.result_model, { signal: this.signal })]);
    fill(this.report, el("div", { class: "report-place" }, promotion, new ReportPanel(report, run.id).element));
  }

  #showFacts() {
    const { dataset_id, dataset_sha256, base, head, hyperparameters, split } = this.run;
    const shown = JSON.stringify([split, hyperparameters]);
    if (shown === this.factsSaid) return;
    this.factsSaid = shown;
    const fact = (term, ...value) => el("div", {}, el("dt", { text: term }), el("dd", {}, ...value));
    const part = ({ patients, records }) => `${several(patients, "patient")}, ${several(records, "record")}`;
    fill(this.facts, el("h2", { text: "What it is trained on" }), el("dl", { class: "facts" },
      fact("Dataset", el("a", { href: `#/datasets/${dataset_id}`, text: dataset_id })),
      fact("Its content", el("code", { text: `${dataset_sha256.slice(0, 16)}…` })),
      fact("Base", versionLink(base)),
      fact("Head", head === "keep" ? "the base's" : "a new one"),
      split ? fact("Trains", part(split.train)) : null,
      split ? fact("Chooses the epoch", part(split.validation)) : null,
      split ? fact("Is measured on", part(split.test)) : null),
      el("details", {}, el("summary", { text: "Hyperparameters" }), el("dl", { class: "facts" },
        Object.entries(hyperparameters).map(([name, value]) => fact(name.replaceAll("_", " "), typeof value === "number" ? trimmed(value, 8) : String(value))))));
  }
}
