// Which stretch of the record is seen, and how it moves.

const SHORTEST_S = 0.5;
const GLIDE_MS = 180;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class ViewWindow extends EventTarget {
  constructor(duration_s, start_s = 0, span_s = 10) {
    super();
    this.duration_s = duration_s;
    this.span_s = span_s;
    this.start_s = start_s;
    this.#clip();
  }

  get end_s() {
    return this.start_s + this.span_s;
  }

  get middle_s() {
    return this.start_s + this.span_s / 2;
  }

  /** From now on always so many seconds (or the whole record, if that is shorter); null: free again. */
  lock(span_s) {
    this.#locked_s = span_s;
    this.set(this.start_s, this.span_s);
  }

  set(start_s, span_s = this.span_s) {
    cancelAnimationFrame(this.#frame);
    this.#apply(start_s, span_s);
  }

  pan(seconds) {
    this.glide(this.#goal().start_s + seconds);
  }

  /** Zoom by a factor (below 1: closer) around a moment. */
  zoom(factor, around_s = this.middle_s, { glide = true } = {}) {
    if (this.#locked_s) return;
    const goal = glide ? this.#goal() : this;
    const span_s = Math.min(Math.max(goal.span_s * factor, SHORTEST_S), this.duration_s);
    const start_s = around_s - ((around_s - goal.start_s) / goal.span_s) * span_s;
    if (glide) this.glide(start_s, span_s);
    else this.set(start_s, span_s);
  }

  /** Brings a moment to the middle. */
  center(seconds, span_s = this.#goal().span_s) {
    this.glide(seconds - span_s / 2, span_s);
  }

  /** Moves there over some frames, so that the eye can follow; at once where less motion is wanted. */
  glide(start_s, span_s = this.#goal().span_s) {
    cancelAnimationFrame(this.#frame);
    const from = { start_s: this.start_s, span_s: this.span_s };
    const far = Math.abs(start_s - from.start_s) > 4 * Math.max(span_s, from.span_s);
    if (still.matches || far) return this.#apply(start_s, span_s);
    this.#to = this.#clipped(start_s, span_s);
    const began = performance.now();
    const step = (now) => {
      const t = Math.min(Math.max((now - began) / GLIDE_MS, 0), 1);
      const eased = 1 - (1 - t) ** 3;
      const to = this.#to;
      if (t < 1) this.#frame = requestAnimationFrame(step);
      else this.#to = null;
      this.#show(mix(from.start_s, to.start_s, eased), mix(from.span_s, to.span_s, eased));
    };
    this.#frame = requestAnimationFrame(step);
    return undefined;
  }

  #frame = 0;
  #to = null;
  #locked_s = null;

  /** Where it is going: keys pressed quickly add up. */
  #goal() {
    return this.#to ?? this;
  }

  #apply(start_s, span_s) {
    this.#to = null;
    this.#show(start_s, span_s);
  }

  #show(start_s, span_s) {
    Object.assign(this, this.#clipped(start_s, span_s));
    this.dispatchEvent(new Event("change"));
  }

  #clip() {
    Object.assign(this, this.#clipped(this.start_s, this.span_s));
  }

  #clipped(start_s, span_s) {
    const span = Math.min(Math.max(this.#locked_s ?? span_s, SHORTEST_S), this.duration_s);
    return { span_s: span, start_s: Math.min(Math.max(start_s, 0), this.duration_s - span) };
  }
}

function mix(from, to, t) {
  return from + (to - from) * t;
}
