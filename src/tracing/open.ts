import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { Tracing } from "../core/tracing.ts";
import { type Environment, type Wanted, wantedTraces } from "./environment.ts";
import { OtelTracing, type OtelTracingOptions } from "./otel.ts";
import { SpanQueue } from "./span-queue.ts";

/** Traces of one instance, until they are closed. */
export interface OpenTracing extends Tracing {
  /** Sends what waits, for a few seconds at most. Never rejects. */
  close(): Promise<void>;
}

export interface TracingOptions {
  readonly trusts: OtelTracingOptions["trusts"];
  /** Facts of the instance, on every span; the variables of the environment may change them. */
  readonly resource: Readonly<Record<string, string>>;
  readonly version: string;
  readonly env: Environment;
  readonly stats: Stats;
  readonly log: Logger;
}

/** How long the last spans may take to be sent, ms. */
const LAST_MS = 3_000;

/**
 * Opens what the environment asks for, see {@link wantedTraces}. The packages are loaded now, and never without need. What
 * cannot be had is logged, and the instance does without: operators of a cluster set these variables for everything in it.
 */
export async function openTracing(options: TracingOptions): Promise<OpenTracing | undefined> {
  const { env, log } = options;
  const wanted = wantedTraces(env);
  if (wanted === undefined) return undefined;
  try {
    if (typeof wanted === "string") throw new Error(wanted);
    const tracing = await load(options, wanted);
    for (const doubt of wanted.doubts) log.warn(doubt);
    log.info("traces are sent", { protocol: wanted.protocol });
    return tracing;
  } catch (error) {
    log.error("there are no traces", { error, see: "docs/tracing.md" });
    return undefined;
  }
}

async function load(options: TracingOptions, wanted: Wanted): Promise<OpenTracing> {
  const api = await import("@opentelemetry/api");
  const { BasicTracerProvider, BatchSpanProcessor } = await import("@opentelemetry/sdk-trace-base");
  const { detectResources, envDetector, resourceFromAttributes } = await import("@opentelemetry/resources");
  const { OTLPTraceExporter } =
    wanted.protocol === "http/json"
      ? await import("@opentelemetry/exporter-trace-otlp-http")
      : await import("@opentelemetry/exporter-trace-otlp-proto");
  const { resource, version, trusts, stats, log } = options;
  const queue = new SpanQueue({ most: wanted.queue, stats, log });
  const batches = new BatchSpanProcessor(queue.after(new OTLPTraceExporter()));
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes(resource).merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [queue.before(batches)],
  });
  const tracing = new OtelTracing({ api, tracer: provider.getTracer("trunkline", version), trusts });
  return Object.assign(tracing, {
    async close() {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, LAST_MS);
      });
      await Promise.race([provider.shutdown().catch(() => {}), late]);
      clearTimeout(timer);
      queue.giveUp();
    },
  });
}
