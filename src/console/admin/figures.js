/** Looks that are kept: two minutes of one every two seconds. */
const KEPT = 60;
/** Rates are of the last looks, latencies of all that are kept. */
const RATE_LOOKS = 4;

/**
 * What instances have told of themselves, look by look. They tell what they have done since they began; what they do now is
 * the difference.
 */
export class Looks {
  /** Upper bounds of the buckets of latencies, seconds. */
  bounds = [];
  /** By instance, the oldest first. */
  #looks = new Map();
  /** The system as a whole, by name: what it was at each look. */
  #series = new Map();

  /** Takes an answer of `overview`. */
  add({ bounds, instances }) {
    this.bounds = bounds;
    const names = new Set(instances.map(({ instance }) => instance));
    for (const name of this.#looks.keys()) if (!names.has(name)) this.#looks.delete(name);
    for (const one of instances) {
      const before = this.#looks.get(one.instance) ?? [];
      // Another one under the same name.
      const same = before.length === 0 || before.at(-1).uptimeMs < one.uptimeMs;
      this.#looks.set(one.instance, [...(same ? before : []), one].slice(-KEPT));
    }
  }

  /** Something a second, of one instance: counted by `count`; `undefined` until there were two looks. */
  rate(instance, count) {
    const looks = this.#looks.get(instance) ?? [];
    const [first, last] = [looks.at(-RATE_LOOKS) ?? looks[0], looks.at(-1)];
    if (!last || last.uptimeMs <= first.uptimeMs) return undefined;
    return Math.max(0, ((count(last) - count(first)) * 1000) / (last.uptimeMs - first.uptimeMs));
  }

  /** How much was counted since the oldest look, and how long ago that was, ms. */
  since(instance, count) {
    const looks = this.#looks.get(instance) ?? [];
    if (looks.length === 0) return { more: 0, ms: 0 };
    const [first, last] = [looks[0], looks.at(-1)];
    return { more: Math.max(0, count(last) - count(first)), ms: last.uptimeMs - first.uptimeMs };
  }

  /** The latency, seconds, that so many (0 to 1) did not exceed, of some instances together. */
  quantile(instances, kind, share) {
    let counts = [];
    for (const instance of instances) {
      const looks = this.#looks.get(instance) ?? [];
      if (looks.length < 2) continue;
      const [first, last] = [looks[0].latency[kind], looks.at(-1).latency[kind]];
      counts = last.map((count, bucket) => (counts[bucket] ?? 0) + count - (first[bucket] ?? 0));
    }
    return quantileOf(counts, this.bounds, share);
  }

  /** Writes down what the system was at this look, and returns all such. */
  series(name, value) {
    const all = [...(this.#series.get(name) ?? []), value].slice(-KEPT);
    this.#series.set(name, all);
    return all;
  }
}

/** As Prometheus reckons it: evenly spread within a bucket. @param counts each without those below */
export function quantileOf(counts, bounds, share) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total <= 0) return undefined;
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count > 0 && below + count >= share * total) {
      const least = bucket === 0 ? 0 : bounds[bucket - 1];
      const most = bounds[bucket] ?? least;
      return least + ((share * total - below) / count) * (most - least);
    }
    below += count;
  }
  return bounds.at(-1);
}

export const sum = (values) => {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((all, value) => all + value, 0);
};
