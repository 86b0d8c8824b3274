/** Upper bounds of the buckets, seconds: from one step within a machine to a client's patience. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/**
 * How often something took how long, since the start. A few numbers however much is observed: nothing is lost between
 * two readings, and observing makes no object.
 */
export class Histogram {
  /** Upper bounds of all buckets but the last, seconds. */
  static readonly bounds: readonly number[] = BOUNDS;
  /** Observations by bucket, each without those of the buckets below it; the last has what is above every bound. */
  readonly counts = new Float64Array(BOUNDS.length + 1);
  /** Seconds. */
  sum = 0;
  count = 0;

  /** @param ms what is below 0 (two clocks that differ) counts as 0, what is no number is left out */
  observeMs(ms: number): void {
    if (Number.isNaN(ms)) return;
    const seconds = ms > 0 ? ms / 1000 : 0;
    let bucket = 0;
    while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += seconds;
    this.count++;
  }

  /** Adds what another one has observed. */
  add(other: Histogram): void {
    for (const [bucket, count] of other.counts.entries()) this.counts[bucket]! += count;
    this.sum += other.sum;
    this.count += other.count;
  }
}

/** Values of each label at most: all come from tables and settings, and what came from elsewhere must fill no memory. */
const MOST_VALUES = 256;
/** Where the values above that are counted. */
const OTHER = "other";

/** Histograms by the values of one label or two, such as a namespace and the code of the outcome. */
export class Histograms {
  readonly #byFirst = new Map<string, Map<string, Histogram>>();

  observeMs(ms: number, first: string, second = ""): void {
    const own = this.#byFirst.get(first)?.get(second) ?? this.#make(first, second);
    own.observeMs(ms);
  }

  #make(first: string, second: string): Histogram {
    const group = within(this.#byFirst, first, () => new Map<string, Histogram>());
    return within(group, second, () => new Histogram());
  }

  /** Each with the values of its labels; of a single label, the second value is "". */
  *entries(): Generator<[labels: readonly [string, string], histogram: Histogram]> {
    for (const [first, group] of this.#byFirst) {
      for (const [second, histogram] of group) yield [[first, second], histogram];
    }
  }

  /** All together. */
  total(): Histogram {
    const all = new Histogram();
    for (const [, one] of this.entries()) all.add(one);
    return all;
  }
}

function within<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key);
  if (known) return known;
  const bounded = map.size < MOST_VALUES ? key : OTHER;
  const own = map.get(bounded) ?? make();
  map.set(bounded, own);
  return own;
}
