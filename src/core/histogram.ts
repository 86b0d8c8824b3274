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
}

/** Histograms by the value of a label, of which the callers have a small fixed set. */
export class Histograms {
  readonly byLabel = new Map<string, Histogram>();

  observeMs(label: string, ms: number): void {
    let own = this.byLabel.get(label);
    if (!own) {
      own = new Histogram();
      this.byLabel.set(label, own);
    }
    own.observeMs(ms);
  }
}
