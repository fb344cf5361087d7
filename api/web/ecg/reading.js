// What is known and chosen about the open record: beats, reference, shown classes, the chosen beat.

import { Beats } from "./beats.js";
import { classesOf, isNormal } from "./classes.js";
import { Reference } from "./reference.js";

export class Reading extends EventTarget {
  beats = null;
  classes = classesOf({ N: 0, S: 0, V: 0, F: 0, Q: 0 });
  reference = null;
  selected = -1;
  #hidden = new Set();
  #annotations = [];

  /** result: of a succeeded prediction of the task `beats`. */
  setResult(result) {
    this.classes = classesOf(result.counts);
    this.beats = new Beats(result.beats, this.classes);
    this.selected = -1;
    this.#compare();
  }

  setAnnotations(annotations) {
    this.#annotations = annotations;
    this.#compare();
  }

  #compare() {
    const shown = this.reference?.shown ?? true;
    const beatsThere = this.#annotations.some((one) => one.label !== null);
    this.reference = beatsThere ? new Reference(this.#annotations, this.beats, this.classes) : null;
    if (this.reference) this.reference.shown = shown;
    this.#tell("content");
  }

  isShown(i) {
    return !this.#hidden.has(this.beats.classIndex[i]);
  }

  isNormal(i) {
    return isNormal(this.beats.classOf(i).label);
  }

  isClassShown(index) {
    return !this.#hidden.has(index);
  }

  toggleClass(index) {
    if (!this.#hidden.delete(index)) this.#hidden.add(index);
    this.#tell("classes");
  }

  showReference(shown) {
    this.reference.shown = shown;
    this.#tell("content");
  }

  select(i) {
    if (i === this.selected) return;
    this.selected = i;
    this.#tell("selected");
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}
