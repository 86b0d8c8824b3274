/** A figure of a report. */
interface Figure {
  readonly label: string;
  readonly unit: "" | "/s" | "ms" | "µs" | "bytes" | "cores" | "each";
  /** The worst round counts instead of the median: one loss is one too many. */
  readonly worst?: true;
  /** Whether a ratio to the control makes sense. */
  readonly ratio?: true;
  /** Its short name in a plot; `undefined` for figures that are not plotted. */
  readonly plot?: string;
}

/** Every figure any scenario measures, in the order of the table. "each" is a number that may be less than one. */
export const figures = {
  joined: { label: "clients in", unit: "" },
  failed: { label: "clients that did not get in", unit: "", worst: true },
  dropped: { label: "clients thrown out", unit: "", worst: true },
  connectRate: {
    label: "connects (with authenticate and subscribe)",
    unit: "/s",
    ratio: true,
    plot: "connects per second",
  },
  connectP50: { label: "connect p50", unit: "ms", ratio: true },
  connectP99: { label: "connect p99", unit: "ms", ratio: true },
  connectCpu: { label: "server processor time per connect", unit: "µs", ratio: true },
  connectRedis: { label: "Redis commands per connect", unit: "each" },
  connectNats: { label: "NATS messages, in and out, per connect", unit: "each" },
  emptyBytes: { label: "user memory of the empty processes (anonymous pages)", unit: "bytes", ratio: true },
  emptyCpu: { label: "processor time of an empty process per second", unit: "ms" },
  userBytes: {
    label: "user memory per connection, over the empty process",
    unit: "bytes",
    ratio: true,
    plot: "user memory per connection",
  },
  residentBytes: { label: "the same by resident size, program code included", unit: "bytes", ratio: true },
  stackBytes: { label: "user memory of NATS and Redis per connection", unit: "bytes" },
  kernelBytes: { label: "kernel memory per socket (whole machine, rough)", unit: "bytes", ratio: true },
  idleCpu: {
    label: "server processor time per idle connection and second",
    unit: "µs",
    ratio: true,
    plot: "processor time per idle connection and second",
  },
  idleRedis: { label: "Redis commands per idle connection and second", unit: "each" },
  idleNats: { label: "NATS messages, in and out, per idle connection and second", unit: "each" },
  churnRate: { label: "connects while churning", unit: "/s", ratio: true },
  churnP50: { label: "connect p50, due to joined", unit: "ms", ratio: true },
  churnP99: {
    label: "connect p99, due to joined",
    unit: "ms",
    ratio: true,
    plot: "connect p99 while churning",
  },
  churnCpu: { label: "server processor time per disconnect and connect", unit: "µs", ratio: true },
  churnRedis: { label: "Redis commands per disconnect and connect", unit: "each" },
  churnNats: { label: "NATS messages, in and out, per disconnect and connect", unit: "each" },
  grownBytes: { label: "user memory more than before the churn, per connect", unit: "bytes" },
  resumeRate: { label: "resumes", unit: "/s", ratio: true, plot: "resumes per second" },
  resumeP50: { label: "resume p50", unit: "ms", ratio: true },
  resumeP99: { label: "resume p99", unit: "ms", ratio: true },
  resumeCpu: { label: "server processor time per resume", unit: "µs", ratio: true },
  resumeRedis: { label: "Redis commands per resume", unit: "each" },
  resumeNats: { label: "NATS messages, in and out, per resume", unit: "each" },
  recovered: { label: "recovered", unit: "" },
  unrecovered: { label: "not recovered", unit: "", worst: true },
  replayed: { label: "messages replayed", unit: "" },
  streamReads: { label: "reads of stored messages", unit: "" },
  published: { label: "publishes accepted", unit: "" },
  publishRate: { label: "publishes accepted", unit: "/s" },
  ackP50: { label: "publish p50, due to accepted", unit: "ms", ratio: true },
  ackP99: {
    label: "publish p99, due to accepted",
    unit: "ms",
    ratio: true,
    plot: "publish to accepted, p99",
  },
  refused: { label: "publishes refused", unit: "", worst: true },
  unanswered: { label: "publishes nobody answered", unit: "", worst: true },
  deliveryRate: { label: "deliveries", unit: "/s", plot: "deliveries per second" },
  p50: { label: "latency p50, due to received", unit: "ms", ratio: true },
  p99: { label: "latency p99", unit: "ms", ratio: true },
  p999: { label: "latency p99.9", unit: "ms", ratio: true },
  max: { label: "latency max", unit: "ms", ratio: true },
  lastClient: { label: "time until the last client has it, p50", unit: "ms", ratio: true },
  natsP50: { label: "latency p50 of a plain NATS subscriber behind it", unit: "ms" },
  natsP99: { label: "latency p99 of a plain NATS subscriber behind it", unit: "ms" },
  deliveryCpu: {
    label: "server processor time per delivery",
    unit: "µs",
    ratio: true,
    plot: "processor time per delivery",
  },
  serverCores: { label: "processors used by the server", unit: "cores" },
  stackCores: { label: "processors used by NATS and Redis", unit: "cores" },
  redisRate: { label: "Redis commands", unit: "/s" },
  natsRate: { label: "NATS messages, in and out", unit: "/s" },
  messageCpu: { label: "processor time of NATS and Redis per message", unit: "µs" },
  messageRedis: { label: "Redis commands per message", unit: "each" },
  messageNats: { label: "NATS messages, in and out, per message", unit: "each" },
  lost: { label: "lost", unit: "", worst: true },
  duplicates: { label: "duplicates", unit: "", worst: true },
  disorder: { label: "out of order", unit: "", worst: true },
  generatorCpu: { label: "processors used by the generator", unit: "cores" },
} as const satisfies Record<string, Figure>;

export type FigureName = keyof typeof figures;

/** The figures of one round; `undefined` where this machine or target does not provide them. */
export type Figures = Partial<Record<FigureName, number | undefined>>;

/** Formats a figure for people. */
export function show(name: FigureName, value: number | undefined): string {
  if (value === undefined) return "-";
  const { unit } = figures[name];
  switch (unit) {
    case "bytes":
      return bytes(value);
    case "":
    case "/s":
      return `${Math.round(value).toLocaleString("en")}${unit && ` ${unit}`}`;
    case "each":
      return value.toPrecision(3).replace(/\.?0+$/, "");
    default:
      return `${value.toFixed(value < 10 ? 2 : 1)} ${unit}`;
  }
}

function bytes(value: number): string {
  if (Math.abs(value) < 2 ** 20) return `${(value / 1024).toFixed(2)} KB`;
  return `${(value / 2 ** 20).toFixed(1)} MB`;
}
