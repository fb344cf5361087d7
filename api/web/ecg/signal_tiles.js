// The signal in tiles of few points at every scale: fetched for what is seen, kept, fetched ahead.
//
// A tile of level k spans 2^k seconds and has at most `points` points a lead, so a view needs two or
// three tiles at any zoom. What has not come yet is drawn from a coarser tile that has.

import { jsonWhenReached } from "../service/http.js";
import { lowerBound } from "./beats.js";

const VALUES_A_TILE = 8192;
const MOST_POINTS = 4096;
const FEWEST_POINTS = 1024;
const KEPT_TILES = 120;
const AT_ONCE = 3;
const SETTLE_MS = 50;
const POINTS_A_PIXEL = 2;

export class SignalTiles extends EventTarget {
  #tiles = new Map();
  #loading = new Map();
  #queue = [];
  #timer = 0;
  #ended = new AbortController();

  constructor(record) {
    super();
    this.record = record;
    const points = Math.floor(VALUES_A_TILE / record.leads.length / 2) * 2;
    this.points = Math.min(Math.max(points, FEWEST_POINTS), MOST_POINTS);
    this.top = Math.max(Math.ceil(Math.log2(record.duration_s)), 0);
    // below this level a tile holds every sample
    this.bottom = Math.min(Math.floor(Math.log2(this.points / record.sampling_rate_hz)), this.top);
  }

  close() {
    clearTimeout(this.#timer);
    this.#ended.abort();
  }

  /** The whole record in one coarse tile. */
  overview() {
    return this.#load(key(this.top, 0));
  }

  /** The level whose tiles have a smallest and a largest sample for every pixel. */
  level(span_s, width_px) {
    const widest_s = (this.points / POINTS_A_PIXEL) * (span_s / Math.max(width_px, 1));
    return Math.min(Math.max(Math.floor(Math.log2(widest_s)), this.bottom), this.top);
  }

  /** What there is for a stretch: {id, leads: [{x, y}]}; equal ids mean equal points. */
  assembled(start_s, end_s, level) {
    const parts = this.#indices(start_s, end_s, level).map((i) => this.#best(level, i));
    const id = parts.map((part) => part.id).join(" ");
    return { id, leads: () => joined(parts, this.record.leads.length) };
  }

  /** Fetch what a view lacks once it has settled, then its neighbors. */
  want(start_s, end_s, level) {
    const seen = this.#indices(start_s, end_s, level).map((i) => key(level, i));
    const span = end_s - start_s;
    const near = this.#indices(start_s - span, end_s + span, level).map((i) => key(level, i));
    const coarser = level < this.top ? this.#indices(start_s, end_s, level + 1) : [];
    this.#queue = [...new Set([...seen, ...near, ...coarser.map((i) => key(level + 1, i))])];
    for (const [name, loading] of this.#loading)
      if (!this.#queue.includes(name) && name !== key(this.top, 0)) loading.abort();
    if (!this.#timer) this.#timer = setTimeout(() => this.#fetchNext(), SETTLE_MS);
  }

  #fetchNext() {
    this.#timer = 0;
    for (const name of this.#queue) {
      if (this.#loading.size >= AT_ONCE) return;
      if (!this.#tiles.has(name) && !this.#loading.has(name)) this.#load(name).catch(() => {});
    }
  }

  async #load(name) {
    const cut = new AbortController();
    this.#loading.set(name, cut);
    try {
      const tile = await this.#fetched(name, AbortSignal.any([cut.signal, this.#ended.signal]));
      this.#remember(name, tile);
      this.dispatchEvent(new Event("arrived"));
      return tile;
    } catch (error) {
      // an empty tile stands for one that the service will not give: it is not asked for again
      if (error.name === "Problem") this.#remember(name, this.#empty(error));
      throw error;
    } finally {
      this.#loading.delete(name);
      if (!this.#ended.signal.aborted) this.#fetchNext();
    }
  }

  async #fetched(name, signal) {
    const { start, end } = range(name, this.record.duration_s);
    const query = new URLSearchParams({ start_s: start, end_s: end, max_points: this.points });
    const path = `v1/records/${this.record.id}/signal?${query}`;
    const found = await jsonWhenReached(path, { signal });
    return { leads: found.leads.map((lead) => ({ x: lead.time_s, y: lead.value })) };
  }

  #empty(problem) {
    this.dispatchEvent(new CustomEvent("refused", { detail: problem }));
    return { leads: this.record.leads.map(() => ({ x: [], y: [] })) };
  }

  #remember(name, tile) {
    this.#tiles.set(name, tile);
    for (const old of this.#tiles.keys()) {
      if (this.#tiles.size <= KEPT_TILES) return;
      if (old !== key(this.top, 0)) this.#tiles.delete(old);
    }
  }

  #indices(start_s, end_s, level) {
    const span = 2 ** level;
    const last = Math.ceil(this.record.duration_s / span) - 1;
    const from = Math.min(Math.max(Math.floor(start_s / span), 0), last);
    const to = Math.min(Math.max(Math.ceil(end_s / span) - 1, from), last);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }

  /** The tile, or the part of a coarser one that covers it. */
  #best(level, index) {
    const { start, end } = range(key(level, index), this.record.duration_s);
    for (let up = level; up <= this.top; up += 1) {
      const name = key(up, Math.floor(index / 2 ** (up - level)));
      const tile = this.#tiles.get(name);
      if (tile && up === level) return touch(this.#tiles, name, { id: name, tile });
      if (tile) return { id: `${name}[${index}@${level}]`, tile, start, end };
    }
    return { id: "-", tile: null };
  }
}

const key = (level, index) => `${level}:${index}`;

function range(name, duration_s) {
  const [level, index] = name.split(":").map(Number);
  const span = 2 ** level;
  return { start: index * span, end: Math.min((index + 1) * span, duration_s) };
}

/** Moves it to the end of those that are thrown away. */
function touch(tiles, name, part) {
  tiles.delete(name);
  tiles.set(name, part.tile);
  return part;
}

function joined(parts, leads) {
  return Array.from({ length: leads }, (_, lead) => {
    const x = [];
    const y = [];
    for (const { tile, start, end } of parts) {
      if (!tile) continue;
      const from = tile.leads[lead];
      const first = start === undefined ? 0 : lowerBound(from.x, start);
      const last = end === undefined ? from.x.length : lowerBound(from.x, end);
      for (let i = first; i < last; i += 1) {
        x.push(from.x[i]);
        y.push(from.y[i]);
      }
    }
    return { x, y };
  });
}
