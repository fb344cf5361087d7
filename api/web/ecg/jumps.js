// From beat to beat: the next of a class, the next not normal, the least certain, the next disagreement.

import { announce } from "../parts/announce.js";
import { clock } from "../parts/format.js";
import { spoken } from "./beat_tip.js";

const CLOSE_S = 12;
const SAME_S = 1e-6;

export class Jumps {
  #rank = -1;
  #filter = null;

  constructor({ view, reading }) {
    Object.assign(this, { view, reading });
  }

  toClass(label, step) {
    const there = this.reading.classes.some((one) => one.label === label);
    if (!there) return announce(`This model knows no class ${label}`);
    return this.#along(step, (i) => this.reading.beats.classOf(i).label === label, `${label} beat`);
  }

  toAbnormal(step) {
    this.#along(step, (i) => !this.reading.isNormal(i), "beat that is not normal");
  }

  toAny(step) {
    this.#along(step, () => true, "beat");
  }

  /** Through all beats, from the least certain on. */
  toUncertain(step) {
    const { beats } = this.reading;
    if (!beats?.length) return announce("There are no beats yet");
    this.#rank = Math.min(Math.max(this.#rank + step, 0), beats.length - 1);
    const prefix = `Least certain, number ${this.#rank + 1} of ${beats.length}`;
    return this.go(beats.leastCertain[this.#rank], prefix);
  }

  /** Through the disagreements with the reference: all, or one cell of the table. */
  toDisagreement(step) {
    const { reference } = this.reading;
    if (!reference?.compared) return announce("This record has no reference to compare with");
    const found = this.#filter
      ? reference.compared.filter((o) => o.truth === this.#filter.truth && o.answer === this.#filter.answer)
      : reference.disagreements;
    const here = this.#here(step);
    const after = (one) => (one.time - here) * step > SAME_S;
    const next = step > 0 ? found.find(after) : found.findLast(after);
    if (!next) return announce(found.length ? "No further disagreement" : "They agree everywhere");
    return this.#showDisagreement(next, found.indexOf(next) + 1, found.length);
  }

  /** From now on step through one cell of the table; null: through all disagreements. */
  filterDisagreements(filter) {
    this.#filter = filter;
    this.reading.select(-1);
    this.#spot = filter ? -1 : null;
  }

  /** Choose a beat and bring it into sight. */
  go(i, prefix = "") {
    const { beats } = this.reading;
    this.#spot = null;
    this.reading.select(i);
    this.#bringInto(beats.time[i]);
    announce(prefix ? `${prefix}: ${spoken(beats, i)}` : spoken(beats, i));
  }

  #spot = null;

  #along(step, wanted, what) {
    const { beats } = this.reading;
    if (!beats) return announce("There are no beats yet");
    const here = this.#here(step);
    const from = step > 0 ? beats.from(here + SAME_S) : beats.from(here - SAME_S) - 1;
    const i = beats.next(from, step, wanted);
    if (i < 0) return announce(`No ${step > 0 ? "further" : "earlier"} ${what}`);
    return this.go(i);
  }

  /** Where a search starts: at the chosen beat while it is in sight, else at the edge of the view. */
  #here(step) {
    const { beats, selected } = this.reading;
    const { start_s, end_s } = this.view;
    if (this.#spot !== null) return this.#spot;
    const at = selected >= 0 ? beats.time[selected] : NaN;
    if (at >= start_s - 1 && at <= end_s + 1) return at;
    return step > 0 ? start_s - SAME_S : end_s;
  }

  #showDisagreement(one, number, of) {
    this.reading.select(one.beat);
    this.#spot = one.time;
    this.#bringInto(one.time);
    announce(`Disagreement ${number} of ${of} at ${clock(one.time, 2)}: reference ${one.truth}, model ${one.answer}`);
  }

  /** A beat is looked at closely, so a wide view closes in. */
  #bringInto(seconds) {
    this.view.center(seconds, Math.min(this.view.span_s, CLOSE_S));
  }
}
