// Which version shall read: shown where there is more to choose from than the one that answers anyway.

import { versionsFor } from "../service/models.js";
import { el, fill } from "./dom.js";

export class ModelChoice {
  constructor(task, signal) {
    Object.assign(this, { task, signal });
    this.select = el("select", {});
    this.element = el("label", { class: "model-choice", hidden: true }, el("span", { class: "hint", text: "Model" }), this.select);
  }

  /** `name@version`, or nothing for the promoted one. */
  get value() {
    return this.select.value;
  }

  /** Takes the versions that there are now; the choice stays where it is still there. */
  async load() {
    const versions = await versionsFor(this.task, this.signal);
    const chosen = this.value; // asked after the wait: the reader may choose meanwhile
    const promoted = versions.some((one) => one.promoted);
    const options = versions.map((one) => {
      const name = `${one.name}@${one.version}`;
      const said = [one.promoted ? "answers" : null, one.synthetic ? "made up" : null].filter(Boolean);
      return el("option", { value: one.promoted ? "" : name, text: said.length ? `${name} (${said.join(", ")})` : name });
    });
    fill(this.select, promoted ? null : el("option", { value: "", text: "the promoted one (there is none)" }), options);
    this.element.hidden = versions.length === 0 || (versions.length === 1 && promoted);
    this.select.value = [...this.select.options].some(({ value }) => value === chosen) ? chosen : "";
  }
}
