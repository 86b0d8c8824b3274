import { Counter, Gauge, Registry } from "prom-client";
import { Histogram, type Histograms } from "../core/histogram.ts";

/** Of Prometheus' text format. */
export const CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** The metrics page. */
export interface Metrics {
  readonly contentType: string;
  /** All metrics in Prometheus' text format. Never rejects: what cannot be read keeps its last value. */
  text(): Promise<string>;
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Figures of the process have the names that all servers give them. */
const fullName = (name: string) => (name.startsWith("process_") ? name : `trunkline_${name}`);

/** A histogram in Prometheus' shape: each bucket with all below it. */
function samples(name: string, own: Histogram, labels: Sample["labels"]): Sample[] {
  let below = 0;
  const buckets = [...own.counts].map((count, index): Sample => {
    below += count;
    const le = `${Histogram.bounds[index] ?? "+Inf"}`;
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: own.sum },
    { metricName: `${name}_count`, labels, value: own.count },
  ];
}

/** Metrics by name (without the prefix `trunkline_`), each read anew when the page is asked for. */
export class MetricsPage implements Metrics {
  readonly #registry = new Registry();
  readonly #registers = [this.#registry];
  readonly #failures = new Counter({
    name: "trunkline_scrape_errors_total",
    help: "Metrics that could not be read.",
    registers: this.#registers,
  });

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  counter(name: string, help: string, read: () => number): void {
    const metric: Counter = new Counter({
      ...this.#named(name, help),
      collect: this.#guarded(() => {
        const value = read();
        metric.reset();
        metric.inc(value);
      }),
    });
  }

  /**
   * One counter for each value of a label; of several labels, the values stand in the key with spaces between.
   * @param known keys that are there from the start, at 0
   */
  counters(
    name: string,
    help: string,
    labels: readonly string[],
    { read, known }: { read: () => ReadonlyMap<string, number>; known: () => Iterable<string> },
  ): void {
    const metric: Counter<string> = new Counter({
      ...this.#named(name, help),
      labelNames: [...labels],
      collect: this.#guarded(() => {
        metric.reset();
        const zeros = [...known()].map((key): [string, number] => [key, 0]);
        for (const [key, value] of new Map([...zeros, ...read()])) {
          const values = labels.length === 1 ? [key] : key.split(" ");
          metric.inc(Object.fromEntries(labels.map((one, at) => [one, values[at] ?? ""])), value);
        }
      }),
    });
  }

  gauge(name: string, help: string, read: () => number): void {
    const metric: Gauge = new Gauge({
      ...this.#named(name, help),
      collect: this.#guarded(() => metric.set(read())),
    });
  }

  /** One gauge for each value of a label. */
  gauges(name: string, help: string, label: string, read: () => Iterable<[string, number]>): void {
    const metric: Gauge<string> = new Gauge({
      ...this.#named(name, help),
      labelNames: [label],
      collect: this.#guarded(() => {
        metric.reset();
        for (const [key, value] of read()) metric.set({ [label]: key }, value);
      }),
    });
  }

  histogram(name: string, help: string, own: Histogram): void {
    this.#register(name, help, () => [[{}, own]]);
  }

  /** Histograms by the values of one label or two. */
  histograms(name: string, help: string, labels: readonly [string, string?], all: Histograms): void {
    const [first, second] = labels;
    this.#register(name, help, () =>
      [...all.entries()].map(([[one, two], own]) => [
        { [first]: one, ...(second !== undefined && { [second]: two }) },
        own,
      ]),
    );
  }

  #register(
    name: string,
    help: string,
    read: () => readonly (readonly [Sample["labels"], Histogram])[],
  ): void {
    const full = fullName(name);
    const get = async () => ({
      ...{ name: full, help, type: "histogram", aggregator: "sum" },
      values: read().flatMap(([labels, own]) => samples(full, own, labels)),
    });
    // What is read is cumulative already, which the library's own histogram cannot be told.
    this.#registry.registerMetric({ name: full, get } as unknown as Gauge);
  }

  /** A gauge that is always 1; its labels say what there is to say. */
  constant(name: string, help: string, labels: Readonly<Record<string, string>>): void {
    new Gauge({ ...this.#named(name, help), labelNames: Object.keys(labels) }).set({ ...labels }, 1);
  }

  #named(name: string, help: string) {
    return { name: fullName(name), help, registers: this.#registers };
  }

  /** Reading a number may fail (at the descriptor limit, for one), and must not take the page or the process along. */
  #guarded(read: () => void): () => void {
    return () => {
      try {
        read();
      } catch {
        this.#failures.inc();
      }
    };
  }
}
