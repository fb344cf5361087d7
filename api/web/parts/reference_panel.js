// What a reference says beside the model: overlay on or off, disagreements one by one, a confusion table.

import { isNormal } from "../ecg/classes.js";
import { EXTRA, MISSED } from "../ecg/reference.js";
import { el, fill } from "./dom.js";
import { count } from "./format.js";

export class ReferencePanel {
  #chosen = null;

  constructor({ record, reading, jumps }) {
    Object.assign(this, { record, reading, jumps });
    this.element = el("section", { class: "card reference", "aria-label": "Reference", hidden: true });
    reading.addEventListener("content", () => this.#show());
  }

  #show() {
    const { reference } = this.reading;
    this.element.hidden = !reference;
    if (!reference) return;
    const toggle = el("input", { type: "checkbox", checked: reference.shown, onchange: () => this.reading.showReference(toggle.checked) });
    fill(
      this.element,
      el("div", { class: "card-head" }, el("h2", { text: "Reference" }),
        el("label", { class: "check" }, toggle, " show")),
      reference.compared ? this.#comparison(reference) : el("p", { class: "hint", text: `${count(reference.length)} beats. There is nothing to compare with them yet.` }),
    );
  }

  #comparison(reference) {
    const { length } = reference.disagreements;
    const agreed = reference.compared.length - length;
    const percent = Math.floor((1000 * agreed) / reference.compared.length) / 10;
    return [
      el("p", { class: "hint", text: `${count(agreed)} of ${count(reference.compared.length)} beats agree (${percent} %), paired within 150 ms.` }),
      el("div", { class: "stepping" },
        el("button", { type: "button", text: "‹", "aria-label": "Previous disagreement", disabled: !length, onclick: () => this.jumps.toDisagreement(-1) }),
        el("span", { text: this.#chosen ? `${this.#chosen.truth} read as ${this.#chosen.answer}` : `${count(length)} disagreements` }),
        el("button", { type: "button", text: "›", "aria-label": "Next disagreement", disabled: !length, onclick: () => this.jumps.toDisagreement(1) })),
      this.#confusion(reference),
      this.#chosen ? el("button", { type: "button", class: "quiet", text: "Step through all disagreements", onclick: () => this.#choose(null) }) : null,
    ];
  }

  #confusion(reference) {
    const labels = reference.classes.map((one) => one.label);
    const answers = [...labels, MISSED];
    const rows = [...labels, EXTRA].filter((truth) => answers.some((answer) => reference.count(truth, answer)));
    return el(
      "table",
      { class: "confusion" },
      el("caption", { class: "hint", text: "Rows: the reference. Columns: the model. Choose a number to step through it." }),
      el("thead", {}, el("tr", {}, el("td"), answers.map((answer) => el("th", { scope: "col", text: short(answer), title: answer })))),
      el("tbody", {}, rows.map((truth) =>
        el("tr", {}, el("th", { scope: "row", text: short(truth), title: truth }), answers.map((answer) => this.#cell(reference, truth, answer))))),
    );
  }

  #cell(reference, truth, answer) {
    const found = reference.count(truth, answer);
    if (!found) return el("td", { class: "none", text: "·" });
    const chosen = this.#chosen?.truth === truth && this.#chosen.answer === answer;
    const agree = truth === answer;
    return el("td", { class: agree ? "agree" : "disagree" }, el("button", {
      type: "button",
      text: count(found),
      "aria-pressed": String(chosen),
      "aria-label": `Reference ${truth}, model ${answer}: ${found}`,
      class: isNormal(truth) && agree ? "quiet" : null,
      onclick: () => this.#choose({ truth, answer }),
    }));
  }

  #choose(filter) {
    this.#chosen = filter;
    this.jumps.filterDisagreements(filter);
    this.#show();
    if (filter) this.jumps.toDisagreement(1);
  }
}

function short(label) {
  return { [MISSED]: "miss", [EXTRA]: "extra", normal: "norm.", abnormal: "abn." }[label] ?? label;
}
