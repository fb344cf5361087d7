// The reading of a record for one task: asked for, on its way with progress and cancel, failed, or there.

import { ask, cancel, followed, newestOfRecord } from "../service/predictions.js";
import { connection } from "../service/connection.js";
import { announce } from "./announce.js";
import { el, fill } from "./dom.js";
import { ModelChoice } from "./model_choice.js";
import { failure, unavailable } from "./notices.js";

/** What each task says of itself. */
export const TASKS = {
  beats: {
    label: "Prediction", running: "Reading the beats", button: "Read the beats", again: "Read again",
    nothing: "No beats have been read in this record yet.", cancelled: "The reading was cancelled.",
  },
  "afib-5y": {
    label: "AFIB-5Y", running: "Estimating the risk", button: "Estimate the risk", again: "Estimate again",
    title: "Five-year AF risk", nothing: "The risk of atrial fibrillation within five years, from the twelve leads.",
    cancelled: "The estimate was cancelled.",
  },
};

export class PredictionPanel {
  /** show(prediction): called with each that has succeeded. */
  constructor(record, { task, show, signal }) {
    Object.assign(this, { record, task, show, signal, words: TASKS[task] });
    this.element = el("section", { class: "card prediction", "aria-label": this.words.label });
    this.choice = new ModelChoice(task, signal);
    connection.addEventListener("change", () => this.#markLost(), { signal });
  }

  /** Shows the newest reading that there is, follows it when it is on its way. */
  async begin() {
    const [newest] = await Promise.all([newestOfRecord(this.record.id, this.task, this.signal), this.choice.load()]);
    if (!newest) return this.#offer();
    return this.#follow(newest);
  }

  async #ask() {
    this.#fill(el("p", { class: "hint", text: "Asking …" }));
    try {
      await this.#follow(await ask(this.record.id, { task: this.task, model: this.choice.value, signal: this.signal }));
    } catch (error) {
      if (!this.signal.aborted) this.#failed(error);
    }
  }

  async #follow(prediction) {
    try {
      const ended = await followed(prediction, { signal: this.signal, on: (state) => this.#progress(prediction, state) });
      this.#ended(ended);
    } catch (error) {
      if (!this.signal.aborted) this.#fill(failure(error, { retry: () => this.begin() }));
    }
  }

  #fill(...children) {
    this.element.hidden = false;
    fill(this.element, this.words.title ? el("h2", { text: this.words.title }) : null, ...children);
  }

  #offer(text = this.words.nothing) {
    const button = el("button", { type: "button", class: "primary", text: this.words.button, onclick: () => this.#ask() });
    this.#fill(el("p", { text }), this.choice.element, button);
  }

  /** A part that is not there is no mishap: what to do about it, and another try once it is done. */
  #failed(error) {
    const retry = () => this.#ask();
    if (error.status !== 503) return this.#fill(failure(error, { retry }), this.choice.element);
    this.choice.load().catch(() => {});
    return this.#fill(unavailable(error, { retry }), this.choice.element);
  }

  #progress(prediction, { status, progress }) {
    const words = { queued: "Waiting for a worker", running: this.words.running };
    if (!words[status]) return;
    this.bar ??= el("progress", { max: "1", "aria-label": this.words.label });
    if (progress > 0) this.bar.value = progress;
    this.text ??= el("p", { class: "prediction-words", role: "status" });
    const part = progress > 0 ? `, ${Math.round(progress * 100)} %` : " …";
    this.text.dataset.text = words[status] + part;
    const stop = el("button", { type: "button", text: "Cancel", onclick: () => this.#cancel(prediction.id, stop) });
    if (!this.element.contains(this.bar)) this.#fill(this.text, this.bar, stop);
    this.#markLost();
  }

  #markLost() {
    if (!this.text?.isConnected) return;
    const text = connection.lost ? "Connection lost; the service reads on. This page goes on when it answers." : this.text.dataset.text;
    if (this.text.textContent !== text) this.text.textContent = text;
  }

  async #cancel(id, button) {
    button.disabled = true;
    try {
      await cancel(id);
      announce("Cancelling");
    } catch (error) {
      button.disabled = false;
      this.element.append(failure(error));
    }
  }

  #ended(prediction) {
    if (prediction.status === "succeeded") return this.#succeeded(prediction);
    if (prediction.status === "cancelled") return this.#offer(this.words.cancelled);
    return this.#failed(prediction.error ?? { title: "The reading failed" });
  }

  /** What is shown stands elsewhere; here stays the choice of another version, where there is one. */
  #succeeded(prediction) {
    const again = el("button", { type: "button", text: this.words.again, onclick: () => this.#ask() });
    fill(this.element, this.choice.element, again);
    this.element.hidden = this.choice.element.hidden;
    this.show(prediction);
  }
}
