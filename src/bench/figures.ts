/** A figure of a report. */
interface Figure {
  readonly label: string;
  readonly unit: "" | "/s" | "ms" | "µs" | "bytes" | "cores";
  /** Whether the ratio to the control says something. */
  readonly ratio?: true;
}

/** Every figure any scenario measures, in the order of the table. */
export const figures = {
  joined: { label: "clients in", unit: "" },
  failed: { label: "clients that did not get in", unit: "" },
  dropped: { label: "clients thrown out", unit: "" },
  connectRate: { label: "connects (with authenticate and subscribe)", unit: "/s", ratio: true },
  connectP50: { label: "connect p50", unit: "ms", ratio: true },
  connectP99: { label: "connect p99", unit: "ms", ratio: true },
  connectCpu: { label: "server processor time per connect", unit: "µs", ratio: true },
  emptyBytes: { label: "user memory of the empty process (anonymous pages)", unit: "bytes", ratio: true },
  userBytes: { label: "user memory per connection, over the empty process", unit: "bytes", ratio: true },
  residentBytes: { label: "the same by resident size, program code included", unit: "bytes", ratio: true },
  kernelBytes: { label: "kernel memory per socket (whole machine, rough)", unit: "bytes", ratio: true },
  resumeRate: { label: "resumes", unit: "/s", ratio: true },
  resumeP50: { label: "resume p50", unit: "ms", ratio: true },
  resumeP99: { label: "resume p99", unit: "ms", ratio: true },
  resumeCpu: { label: "server processor time per resume", unit: "µs", ratio: true },
  recovered: { label: "recovered", unit: "" },
  unrecovered: { label: "not recovered", unit: "" },
  replayed: { label: "messages replayed", unit: "" },
  streamReads: { label: "reads of stored messages", unit: "" },
  deliveryRate: { label: "deliveries", unit: "/s" },
  p50: { label: "latency p50, due to received", unit: "ms", ratio: true },
  p99: { label: "latency p99", unit: "ms", ratio: true },
  p999: { label: "latency p99.9", unit: "ms", ratio: true },
  max: { label: "latency max", unit: "ms", ratio: true },
  lastClient: { label: "time until the last client has it, p50", unit: "ms", ratio: true },
  deliveryCpu: { label: "server processor time per delivery", unit: "µs", ratio: true },
  lost: { label: "lost", unit: "" },
  duplicates: { label: "duplicates", unit: "" },
  generatorCpu: { label: "processors used by the generator", unit: "cores" },
} as const satisfies Record<string, Figure>;

export type FigureName = keyof typeof figures;
