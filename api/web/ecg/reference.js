// Reference annotations beside a model's beats: which pair, where they disagree, how often.
//
// Pairs as the service's own scoring makes them (services/evaluation/matching.py, EC57): two beats pair
// when each is the other's nearest within the window; what is left over pairs among itself again.

import { referenceClass } from "./classes.js";

export const WINDOW_S = 0.15;
const ROUNDING_S = 1e-6;
export const MISSED = "missed";
export const EXTRA = "extra";

export class Reference {
  /** annotations: as the service gives them; beats: of the model, or null. */
  constructor(annotations, beats, classes) {
    const marked = annotations.filter((one) => one.label !== null);
    this.notes = annotations.filter((one) => one.label === null);
    this.length = marked.length;
    this.time = Float64Array.from(marked, (one) => one.time_s);
    this.symbol = marked.map((one) => one.symbol);
    this.label = marked.map((one) => referenceClass(one.label, classes));
    this.classes = classes;
    if (beats) this.#compare(beats);
  }

  #compare(beats) {
    const { ofReference, ofModel } = matched(this.time, beats.time);
    this.ofReference = ofReference;
    this.ofModel = ofModel;
    const seen = [];
    ofReference.forEach((at, i) =>
      seen.push({ time: this.time[i], reference: i, beat: at, truth: this.label[i],
        answer: at < 0 ? MISSED : beats.classOf(at).label }));
    ofModel.forEach((at, i) => {
      if (at < 0) seen.push({ time: beats.time[i], reference: -1, beat: i, truth: EXTRA,
        answer: beats.classOf(i).label });
    });
    seen.sort((a, b) => a.time - b.time);
    this.compared = seen;
    this.disagreements = seen.filter((one) => one.truth !== one.answer);
    this.disagreeingBeats = new Set(this.disagreements.map((one) => one.beat));
    this.disagreeingReferences = new Set(this.disagreements.map((one) => one.reference));
  }

  /** How often the model answered `answer` where the reference says `truth`. */
  count(truth, answer) {
    return this.compared.filter((one) => one.truth === truth && one.answer === answer).length;
  }
}

/** Position of the partner in the other array, -1 for none; both ascending, in seconds. */
export function matched(reference, model) {
  const ofReference = new Int32Array(reference.length).fill(-1);
  const ofModel = new Int32Array(model.length).fill(-1);
  for (;;) {
    const left = free(ofReference);
    const right = free(ofModel);
    const toRight = nearestOf(left, reference, right, model);
    const toLeft = nearestOf(right, model, left, reference);
    let paired = 0;
    toRight.forEach((at, i) => {
      if (at < 0 || toLeft[at] !== i) return;
      ofReference[left[i]] = right[at];
      ofModel[right[at]] = left[i];
      paired += 1;
    });
    if (!paired) return { ofReference, ofModel };
  }
}

function free(partner) {
  return Array.from(partner.keys()).filter((i) => partner[i] < 0);
}

/** For each of `from`, the position in `to` of the nearest within the window; ties to the earlier. */
function nearestOf(from, fromTime, to, toTime) {
  let near = 0;
  return from.map((i) => {
    const at = fromTime[i];
    const away = (k) => Math.abs(toTime[to[k]] - at);
    while (near + 1 < to.length && away(near + 1) < away(near)) near += 1;
    return to.length && away(near) <= WINDOW_S + ROUNDING_S ? near : -1;
  });
}
