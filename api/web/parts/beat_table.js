// The beats as a table: the same as the trace in text, page by page, for who reads rather than looks.

import { interval } from "../ecg/beat_tip.js";
import { el, fill } from "./dom.js";
import { clock, count } from "./format.js";
import { swatch } from "./swatch.js";

const PAGE = 25;
const HEADS = ["Time", "Class", "Probability", "RR before", "RR after", "Signal", "Show"];

export class BeatTable {
  #page = 0;
  #rows = [];

  constructor({ reading, jumps }) {
    Object.assign(this, { reading, jumps });
    this.body = el("div", { class: "beat-table" });
    this.title = el("summary", {}, el("h2", { text: "Table of beats" }));
    this.element = el("details", { class: "card beat-list", ontoggle: () => this.#fill(), hidden: true }, this.title, this.body);
    for (const what of ["content", "classes"])
      reading.addEventListener(what, () => {
        this.element.hidden = !reading.beats;
        this.#page = 0;
        this.#fill();
      });
    reading.addEventListener("selected", () => this.#follow());
  }

  #fill() {
    const { beats } = this.reading;
    if (!beats || !this.element.open) return;
    this.#rows = Array.from({ length: beats.length }, (_, i) => i).filter((i) => this.reading.isShown(i));
    this.#show();
  }

  /** The page with the chosen beat. */
  #follow() {
    const at = this.#rows.indexOf(this.reading.selected);
    if (!this.element.open || at < 0) return;
    this.#page = Math.floor(at / PAGE);
    this.#show();
  }

  #show() {
    const pages = Math.max(Math.ceil(this.#rows.length / PAGE), 1);
    const shown = this.#rows.slice(this.#page * PAGE, (this.#page + 1) * PAGE);
    const turn = (by) => () => {
      this.#page = Math.min(Math.max(this.#page + by, 0), pages - 1);
      this.#show();
    };
    fill(
      this.body,
      el("p", { class: "hint", text: `${count(this.#rows.length)} beats of the classes that are shown` }),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Beats one by one" }, el("table", { class: "figures" },
        el("thead", {}, el("tr", {}, HEADS.map((text) => el("th", { scope: "col", text })))),
        el("tbody", {}, shown.map((i) => this.#row(i))))),
      el("div", { class: "pages" },
        el("button", { type: "button", text: "Earlier", disabled: this.#page === 0, onclick: turn(-1) }),
        el("span", { class: "hint", text: `page ${this.#page + 1} of ${count(pages)}` }),
        el("button", { type: "button", text: "Later", disabled: this.#page >= pages - 1, onclick: turn(1) })),
    );
  }

  #row(i) {
    const { beats } = this.reading;
    const one = beats.classOf(i);
    const time = clock(beats.time[i], 2);
    const cells = [beats.probability[i].toFixed(3), interval(beats.rrBefore(i)), interval(beats.rrAfter(i)), beats.unreadable[i] ? "poor" : "good"];
    return el(
      "tr",
      { class: i === this.reading.selected ? "chosen" : null },
      el("th", { scope: "row", text: time }),
      el("td", {}, el("span", { class: "class-cell" }, swatch(one), one.label)),
      cells.map((text) => el("td", { text })),
      el("td", {}, el("button", { type: "button", class: "quiet", text: "Show", "aria-label": `Show the beat at ${time}`, onclick: () => this.jumps.go(i) })),
    );
  }
}
