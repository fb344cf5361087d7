// Makes a version the one that answers, or the one before again; says why the service refuses.

import { jsonWhenReached } from "../service/http.js";
import { promote, rollback } from "../service/models.js";
import { versionHref } from "../views/models.js";
import { announce } from "./announce.js";
import { confirmed } from "./confirm.js";
import { el, fill } from "./dom.js";
import { failure } from "./notices.js";

/** A panel for one version: whether it answers, promote, roll back, download. */
export async function promotionPanel({ name, version }, { signal }) {
  const panel = new Promotion(name, version, signal);
  await panel.load();
  return panel.element;
}

class Promotion {
  constructor(name, version, signal) {
    Object.assign(this, { name, version, signal });
    this.element = el("section", { class: "card padded promotion", "aria-label": "Promotion" });
  }

  async load() {
    const path = `v1/models/${encodeURIComponent(this.name)}`;
    const found = await jsonWhenReached(`${path}/versions/${this.version}`, { signal: this.signal });
    this.problems = el("div", {});
    const download = el("a", { class: "button", href: `${path}/versions/${this.version}/download`, download: true, text: "Download (safetensors and card)" });
    fill(this.element,
      el("div", { class: "card-head" },
        el("div", {}, el("h2", {}, el("a", { href: versionHref(this.name, this.version), text: `${this.name}@${this.version}` })),
          found.promoted
            ? el("p", { class: "hint" }, "Answers when no model is named. To let a model of another name answer, promote that one: ", el("a", { href: "#/models", text: "Models" }), ".")
            : el("p", { class: "hint", text: "Answers only where it is named, until it is promoted." })),
        el("div", { class: "buttons" }, found.promoted ? this.#button("Roll back", () => this.#rollBack()) : this.#button("Promote", () => this.#promote(), "primary"), download)),
      this.problems);
  }

  #button(text, act, kind = null) {
    const button = el("button", { type: "button", class: kind, text, onclick: async () => {
      button.disabled = true;
      fill(this.problems);
      try {
        await act();
        await this.load();
      } catch (error) {
        if (!this.signal.aborted) fill(this.problems, failure(error));
      } finally {
        button.disabled = false;
      }
    } });
    return button;
  }

  async #promote() {
    try {
      await promote(this.name, this.version);
    } catch (error) {
      if (error.status !== 409 || !(await this.#insists(error))) throw error;
      await promote(this.name, this.version, { force: true });
    }
    announce(`${this.name} version ${this.version} answers now`);
  }

  /** A version that is measurably worse is promoted only by someone who has read so. */
  #insists(problem) {
    return confirmed({ title: "Promote it all the same?", detail: `${problem.detail} That it was forced is recorded.`, action: "Promote all the same", keep: "Leave it" });
  }

  async #rollBack() {
    const sure = await confirmed({ title: `Roll ${this.name} back?`, detail: "The version that answered before answers again. Requests on their way end with the one they began with.", action: "Roll back", keep: "Leave it" });
    if (!sure) return;
    const { promoted_version } = await rollback(this.name);
    announce(promoted_version ? `${this.name} version ${promoted_version} answers again` : `No version of ${this.name} answers`);
  }
}
