// Where files are dropped or chosen, and what becomes of each: sending, problem, there.

import { groupsOf } from "../service/upload_groups.js";
import { upload } from "../service/uploads.js";
import { connection } from "../service/connection.js";
import { ask } from "../service/predictions.js";
import { announce } from "./announce.js";
import { el, fill } from "./dom.js";
import { bytes } from "./format.js";
import { failure } from "./notices.js";
import { detailsForm, fieldsNeeded } from "./record_details.js";

const AT_ONCE = 2;

export class UploadPanel extends EventTarget {
  #waiting = [];
  #running = 0;
  #asking = new Map();

  /** Dispatches `stored` with {record, alone} for each record that came in. */
  constructor(signal) {
    super();
    this.signal = signal;
    this.list = el("ul", { class: "uploads", "aria-label": "Uploads" });
    this.input = el("input", { type: "file", multiple: true, class: "visually-hidden", id: "files",
      onchange: () => this.take(this.input.files) });
    this.element = el("section", { class: "drop card", "aria-label": "Upload" }, this.#invitation(), this.list);
    this.#listen();
  }

  /** One upload a record; alone when the person gave one only. */
  async take(fileList) {
    const files = [...fileList];
    if (!files.length) return;
    const groups = await groupsOf(files);
    this.input.value = "";
    for (const group of groups) this.#add({ ...group, alone: groups.length === 1 });
  }

  #invitation() {
    return el(
      "div",
      { class: "drop-text" },
      el("label", { for: "files", class: "button primary", text: "Choose files" }),
      el("p", {}, "or drop them anywhere: WFDB as ", el("code", { text: ".hea" }), " with ",
        el("code", { text: ".dat" }), " (and ", el("code", { text: ".atr" }), "), or as one ", el("code", { text: ".zip" }),
        "; EDF, DICOM, aECG, MUSE, SCP, ISHNE, CSV and others as one file"),
      this.input,
    );
  }

  #listen() {
    const { signal } = this;
    const over = (on) => document.body.classList.toggle("dropping", on);
    const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      over(true);
    }, { signal });
    addEventListener("dragleave", (event) => event.relatedTarget === null && over(false), { signal });
    addEventListener("drop", (event) => {
      over(false);
      if (!holdsFiles(event)) return;
      event.preventDefault();
      this.take(event.dataTransfer.files);
    }, { signal });
  }

  #add(group) {
    const item = el("li", { class: "upload" });
    this.list.append(item);
    this.#waiting.push({ ...group, item, key: crypto.randomUUID() });
    fill(item, el("span", { class: "upload-name", text: group.name }), " waits");
    this.#next();
  }

  #next() {
    while (this.#running < AT_ONCE && this.#waiting.length) {
      this.#running += 1;
      const work = this.#waiting.shift();
      this.#send(work).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #send(work) {
    const cut = new AbortController();
    const signal = AbortSignal.any([cut.signal, this.signal]);
    const shown = progress(work, () => cut.abort(new DOMException("stopped", "AbortError")));
    try {
      const { record, known } = await upload(work.files, { ...work, signal, on: shown.on });
      shown.say("Asking for the beats …");
      if (!known) await ask(record.id, { signal });
      this.#done(work, record, known);
    } catch (error) {
      if (this.signal.aborted) return;
      this.#failed(work, error);
    }
  }

  #done(work, record, known) {
    const said = known ? "is here already" : "is stored";
    announce(`${record.name} ${said}`);
    fill(work.item, el("a", { href: `#/records/${record.id}`, text: record.name }), ` ${said}`);
    this.dispatchEvent(new CustomEvent("stored", { detail: { record, alone: work.alone } }));
  }

  #failed(work, error) {
    const again = () => {
      fill(work.item, el("span", { class: "upload-name", text: work.name }), " waits");
      this.#waiting.push(work);
      this.#next();
    };
    if (error.status === 0 && work.tries === undefined) {
      // once by itself when the service answers again; the key makes a half-known upload the same one
      work.tries = 1;
      connection.answered(this.signal).then(again, () => {});
    }
    const wanted = fieldsNeeded(error);
    if (wanted.length) return this.#askDetails(work, error, wanted);
    const stopped = error.name === "AbortError";
    const shown = stopped ? { title: "Upload stopped", detail: "Nothing was stored." } : error;
    fill(work.item, el("span", { class: "upload-name", text: work.name }), failure(shown, { retry: again }), this.#dismiss(work.item));
    return undefined;
  }

  /** The files do not say all that a record needs: a person can. */
  #askDetails(work, error, wanted) {
    announce(`${work.name}: ${error.detail}`);
    const send = (fields, all) => {
      const { patient_id: _, ...common } = fields;
      const others = all ? [...this.#asking.keys()].filter((other) => other !== work) : [];
      this.#sendWith(work, fields);
      for (const other of others) this.#sendWith(other, common);
    };
    const form = detailsForm({ name: work.name, problem: error.detail, wanted, given: work.fields, send });
    fill(work.item, el("span", { class: "upload-name", text: work.name }), form, this.#dismiss(work.item, () => this.#asked(work)));
    this.#asking.set(work, form);
    this.#markAsking();
  }

  #sendWith(work, fields) {
    this.#asked(work);
    // another body needs another key
    Object.assign(work, { fields, key: crypto.randomUUID() });
    fill(work.item, el("span", { class: "upload-name", text: work.name }), " waits");
    this.#waiting.push(work);
    this.#next();
  }

  #asked(work) {
    this.#asking.delete(work);
    this.#markAsking();
  }

  /** Files of one device lack the same: what is said of one can be sent with all that ask. */
  #markAsking() {
    for (const form of this.#asking.values()) form.querySelector(".send-all").hidden = this.#asking.size < 2;
  }

  #dismiss(item, also = () => {}) {
    const gone = () => {
      item.remove();
      also();
    };
    return el("button", { type: "button", class: "quiet", text: "Dismiss", onclick: gone });
  }
}

function progress({ item, name, files }, stop) {
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const bar = el("progress", { max: "1", value: 0, "aria-label": `Upload of ${name}` });
  const text = el("span", { class: "hint", text: `0 of ${bytes(size)}` });
  const button = el("button", { type: "button", class: "quiet", text: "Stop", onclick: stop });
  fill(item, el("span", { class: "upload-name", text: name }), bar, text, button);
  const say = (words) => (text.textContent = words);
  const on = (fraction) => {
    bar.value = fraction;
    say(fraction < 1 ? `${bytes(fraction * size)} of ${bytes(size)}` : "Sent; the service reads it …");
  };
  return { on, say };
}
