export type Query = readonly [expr: string, legend: string];

export interface Panel {
  /** Default: `timeseries`. */
  readonly kind?: "stat" | "timeseries";
  readonly title: string;
  /** What it shows, and what to think of it. */
  readonly about: string;
  /** Of Grafana; default: a plain number. */
  readonly unit?: string;
  readonly queries: readonly Query[];
  /** The value turns yellow from `warn` and red from `bad` on; the other way round where `warn` is the higher one. */
  readonly warn?: number;
  readonly bad?: number;
  /** An alert whose page of the runbook says what to do. */
  readonly page?: string;
}

const OF = 'instance=~"$instance"';
const IN = 'namespace=~"$namespace"';

/** A metric of the chosen instances. @param labels further matchers, and `namespace` for the chosen namespaces */
export function of(name: string, labels: readonly string[] = []): string {
  const all = [OF, ...labels.map((label) => (label === "namespace" ? IN : label))];
  return `${name.startsWith("process_") ? "" : "trunkline_"}${name}{${all.join(",")}}`;
}

const over = (labels: string) => (labels === "" ? "" : ` by (${labels}) `);

/** The sum of a metric. @param by labels, with commas between */
export const sum = (name: string, by = "", labels: readonly string[] = []) =>
  `sum${over(by)}(${of(name, labels)})`;

/** How much a counter grows a second. */
export const rate = (name: string, by = "", labels: readonly string[] = []) =>
  `sum${over(by)}(rate(${of(name, labels)}[$__rate_interval]))`;

/** A quantile of a histogram, seconds. */
export const quantile = (q: number, name: string, by = "", labels: readonly string[] = []) =>
  `histogram_quantile(${q}, sum by (${by === "" ? "le" : `le,${by}`}) (rate(${of(`${name}_bucket`, labels)}[$__rate_interval])))`;

/** The same query for several metrics, each under its name. */
export const each = (
  names: Readonly<Record<string, string>>,
  query: (name: string) => string,
): readonly Query[] => Object.entries(names).map(([name, legend]) => [query(name), legend] as const);

/** For each instance, and for each worker where there are several. */
export const WHO = "instance,worker";
export const WHO_LEGEND = "{{instance}} {{worker}}";
