// The two ways to see a record's leads: one below the other, and, with twelve leads, as a sheet.

import { el } from "../parts/dom.js";
import { keep, kept } from "../parts/kept.js";
import { Sheet } from "./sheet.js";
import { PAGE_S, rowsOf } from "./sheet_layout.js";
import { Trace } from "./trace.js";

const CHOICE = "twelve-leads";

/** Dispatches `drawn` after each drawing and `layout` when another way was chosen. */
export class Layouts extends EventTarget {
  constructor(parts) {
    super();
    Object.assign(this, parts);
    const rows = rowsOf(parts.record);
    this.stacked = new Trace(parts);
    this.sheet = rows ? new Sheet({ ...parts, rows }) : null;
    this.element = el("div", { class: "layouts" }, this.sheet?.holder ?? null, this.stacked.element);
    for (const one of [this.stacked, this.sheet]) one?.addEventListener("drawn", () => one === this.current && this.#tell("drawn"));
    this.#show(this.sheet && kept(CHOICE, "sheet") === "sheet" ? this.sheet : this.stacked);
  }

  get isSheet() {
    return this.current === this.sheet;
  }

  get gain() {
    return this.stacked.gain;
  }

  get plotWidth() {
    return this.current.plotWidth;
  }

  async start() {
    const whole = await this.tiles.overview();
    this.stacked.begin(whole);
    this.sheet?.begin(whole);
  }

  /** As a sheet, or the leads one below the other. */
  choose(sheet) {
    if (!this.sheet || sheet === this.isSheet) return;
    keep(CHOICE, sheet ? null : "stacked");
    this.#show(sheet ? this.sheet : this.stacked);
    this.current.layOut();
  }

  setGain(gain) {
    for (const one of [this.stacked, this.sheet]) one?.setGain(gain);
  }

  scaleText() {
    return this.current.scaleText();
  }

  close() {
    for (const one of [this.stacked, this.sheet]) one?.close();
  }

  #show(chosen) {
    this.current = chosen;
    if (this.sheet) this.sheet.holder.hidden = !this.isSheet;
    this.stacked.element.hidden = this.isSheet;
    this.view.lock(this.isSheet ? PAGE_S : null);
    chosen.element.append(this.tip.element);
    this.#tell("layout");
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}
