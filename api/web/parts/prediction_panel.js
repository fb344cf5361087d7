// The reading of a record: asked for, on its way with progress and cancel, failed, or there.

import { ask, cancel, followed, newestOfRecord } from "../service/predictions.js";
import { connection } from "../service/connection.js";
import { announce } from "./announce.js";
import { el, fill } from "./dom.js";
import { count } from "./format.js";
import { failure } from "./notices.js";

const WORDS = { queued: "Waiting for a worker", running: "Reading the beats" };

export class PredictionPanel {
  constructor(record, { reading, summary, signal }) {
    Object.assign(this, { record, reading, summary, signal });
    this.element = el("section", { class: "card prediction", "aria-label": "Prediction" });
    connection.addEventListener("change", () => this.#markLost(), { signal });
  }

  /** Shows the newest reading that there is, follows it when it is on its way. */
  async begin() {
    const newest = await newestOfRecord(this.record.id, this.signal);
    if (!newest) return this.#offer();
    return this.#follow(newest);
  }

  async #ask() {
    fill(this.element, el("p", { class: "hint", text: "Asking …" }));
    try {
      await this.#follow(await ask(this.record.id, this.signal));
    } catch (error) {
      if (!this.signal.aborted) fill(this.element, failure(error, { retry: () => this.#ask() }));
    }
  }

  async #follow(prediction) {
    try {
      const ended = await followed(prediction, { signal: this.signal, on: (state) => this.#progress(prediction, state) });
      this.#ended(ended);
    } catch (error) {
      if (!this.signal.aborted) fill(this.element, failure(error, { retry: () => this.begin() }));
    }
  }

  #offer(text = "No beats have been read in this record yet.") {
    const button = el("button", { type: "button", class: "primary", text: "Read the beats", onclick: () => this.#ask() });
    this.element.hidden = false;
    fill(this.element, el("p", { text }), button);
  }

  #progress(prediction, { status, progress }) {
    if (!WORDS[status]) return;
    this.element.hidden = false;
    this.bar ??= el("progress", { max: "1", "aria-label": "Prediction" });
    if (progress > 0) this.bar.value = progress;
    this.words ??= el("p", { class: "prediction-words", role: "status" });
    const part = progress > 0 ? `, ${Math.round(progress * 100)} %` : " …";
    this.words.dataset.text = WORDS[status] + part;
    const stop = el("button", { type: "button", text: "Cancel", onclick: () => this.#cancel(prediction.id, stop) });
    if (!this.element.contains(this.bar)) fill(this.element, this.words, this.bar, stop);
    this.#markLost();
  }

  #markLost() {
    if (!this.words?.isConnected) return;
    const text = connection.lost ? "Connection lost; the service reads on. This page goes on when it answers." : this.words.dataset.text;
    if (this.words.textContent !== text) this.words.textContent = text;
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
    if (prediction.status === "succeeded") return this.#show(prediction);
    if (prediction.status === "cancelled") return this.#offer("The reading was cancelled.");
    return fill(this.element, failure(prediction.error ?? { title: "The reading failed" }, { retry: () => this.#ask() }));
  }

  #show(prediction) {
    fill(this.element);
    this.element.hidden = true;
    this.reading.setResult(prediction.result);
    this.summary.show(prediction);
    announce(`${count(this.reading.beats.length)} beats read by ${prediction.model.name} version ${prediction.model.version}`);
  }
}
