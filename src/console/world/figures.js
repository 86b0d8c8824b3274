/** Deliveries kept for each pair of regions. */
const KEPT = 20;

/** How long messages took, by the region of their publisher and of who got them. */
export class Latencies {
  #pairs = new Map();

  add(from, to, ms) {
    const key = `${from} ${to}`;
    const list = this.#pairs.get(key) ?? [];
    list.push(ms);
    if (list.length > KEPT) list.shift();
    this.#pairs.set(key, list);
  }

  /** Median of the last ones, ms; undefined before the first. */
  median(from, to) {
    const list = this.#pairs.get(`${from} ${to}`)?.toSorted((a, b) => a - b);
    return list?.[Math.floor(list.length / 2)];
  }
}

/** `93 ms`, or a dash. */
export function milliseconds(ms) {
  return ms === undefined ? "–" : `${Math.round(ms)} ms`;
}

/** `1.2 kB/s` */
export function rate(bytes) {
  return bytes < 1000 ? `${Math.round(bytes)} B/s` : `${(bytes / 1000).toFixed(1)} kB/s`;
}
