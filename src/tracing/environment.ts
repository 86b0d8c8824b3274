/** Environment variables, as OpenTelemetry's specification names them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the variables ask for. */
export interface Wanted {
  readonly protocol: "http/protobuf" | "http/json";
  /** Most spans that wait to be sent. */
  readonly queue: number;
  /** Values that nobody understands, and what is done in their place. */
  readonly doubts: readonly string[];
}

const DEFAULT_QUEUE = 2_048;
const MOST_QUEUE = 100_000;

const SAMPLERS = ["always_on", "always_off", "traceidratio"].flatMap((name) => [name, `parentbased_${name}`]);

/**
 * Whether traces are wanted: an address for them is set, or `OTEL_TRACES_EXPORTER=otlp`, and nothing says no.
 * (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/) Addresses, headers, time-outs,
 * samplers and limits are read by the packages themselves.
 * @returns `undefined`: they are not wanted; a text: why they cannot be had
 */
export function wantedTraces(env: Environment): Wanted | string | undefined {
  const value = (name: string) => env[name]?.trim() || undefined;
  const exporter = value("OTEL_TRACES_EXPORTER");
  const endpoint = value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") ?? value("OTEL_EXPORTER_OTLP_ENDPOINT");
  if (value("OTEL_SDK_DISABLED")?.toLowerCase() === "true" || exporter === "none") return undefined;
  if (exporter === undefined && endpoint === undefined) return undefined;
  if (exporter !== undefined && exporter !== "otlp")
    return `OTEL_TRACES_EXPORTER=${exporter}: only otlp is known`;
  const protocol =
    value("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") ?? value("OTEL_EXPORTER_OTLP_PROTOCOL") ?? "http/protobuf";
  if (protocol !== "http/protobuf" && protocol !== "http/json")
    return `OTEL_EXPORTER_OTLP_PROTOCOL=${protocol}: use http/protobuf (mostly port 4318) or http/json`;
  return { protocol, ...queueOf(value("OTEL_BSP_MAX_QUEUE_SIZE")), doubts: samplerDoubts(value) };
}

function queueOf(text: string | undefined): { queue: number } {
  const queue = Number(text ?? DEFAULT_QUEUE);
  return { queue: Number.isInteger(queue) && queue > 0 ? Math.min(queue, MOST_QUEUE) : DEFAULT_QUEUE };
}

function samplerDoubts(value: (name: string) => string | undefined): string[] {
  const sampler = value("OTEL_TRACES_SAMPLER") ?? "parentbased_always_on";
  if (!SAMPLERS.includes(sampler)) return ["OTEL_TRACES_SAMPLER is unknown: parentbased_always_on is used"];
  if (!sampler.endsWith("traceidratio")) return [];
  const ratio = Number(value("OTEL_TRACES_SAMPLER_ARG") ?? Number.NaN);
  return ratio >= 0 && ratio <= 1 ? [] : ["OTEL_TRACES_SAMPLER_ARG is not between 0 and 1: 1 is used"];
}
