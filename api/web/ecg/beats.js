// The beats of a result as columns: what lies where, what comes next, how far apart.

export class Beats {
  /** rows: beats of a prediction, ascending; classes: as in classes.js. */
  constructor(rows, classes) {
    const place = new Map(classes.map((one, i) => [one.label, i]));
    this.classes = classes;
    this.length = rows.length;
    this.time = Float64Array.from(rows, (row) => row.time_s);
    this.classIndex = Uint8Array.from(rows, (row) => place.get(row.label));
    this.probability = Float32Array.from(rows, (row) => row.probability);
    this.unreadable = Uint8Array.from(rows, (row) => (row.unreadable ? 1 : 0));
    this.probabilities = rows.map((row) => row.probabilities);
    this.leastCertain = rows.map((_, i) => i).sort((a, b) => this.probability[a] - this.probability[b]);
  }

  classOf(i) {
    return this.classes[this.classIndex[i]];
  }

  /** Seconds since the beat before; null for the first. */
  rrBefore(i) {
    return i > 0 ? this.time[i] - this.time[i - 1] : null;
  }

  rrAfter(i) {
    return i < this.length - 1 ? this.time[i + 1] - this.time[i] : null;
  }

  /** The first beat at or after a moment; `length` when there is none. */
  from(seconds) {
    return lowerBound(this.time, seconds);
  }

  /** The beat nearest to a moment; -1 when there is none. */
  nearest(seconds) {
    const after = this.from(seconds);
    if (after === 0) return this.length ? 0 : -1;
    if (after === this.length) return after - 1;
    return seconds - this.time[after - 1] <= this.time[after] - seconds ? after - 1 : after;
  }

  /** The next beat (step 1) or the one before (step -1) that is wanted; -1 when there is none. */
  next(from, step, wanted) {
    for (let i = from; i >= 0 && i < this.length; i += step) if (wanted(i)) return i;
    return -1;
  }
}

/** The first position whose value is at least `wanted`, in an ascending array. */
export function lowerBound(values, wanted) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
