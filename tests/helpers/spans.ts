import * as api from "@opentelemetry/api";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  ParentBasedSampler,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { OtelTracing } from "../../src/tracing/otel.ts";

export const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
export const CALLER_ID = "00f067aa0ba902b7";
/** What a service sends along, whose trace is recorded; and one whose trace is not. */
export const SAMPLED = `00-${TRACE_ID}-${CALLER_ID}-01`;
export const UNSAMPLED = `00-${TRACE_ID}-${CALLER_ID}-00`;

export interface Trusts {
  readonly service?: boolean;
  readonly client?: boolean;
}

/** Traces that stay in memory. @param roots whether traces that begin here are recorded */
export function tracesInMemory({ service = true, client = false }: Trusts = {}, roots = true) {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    sampler: new ParentBasedSampler({ root: roots ? new AlwaysOnSampler() : new AlwaysOffSampler() }),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  const tracing = new OtelTracing({ api, tracer: provider.getTracer("test"), trusts: { service, client } });
  return {
    tracing,
    /** Those that are over, as they ended. */
    spans: () =>
      exporter.getFinishedSpans().map((span) => ({
        ...{ name: span.name, attributes: span.attributes },
        failed: span.status.code === api.SpanStatusCode.ERROR,
        kind: api.SpanKind[span.kind]!.toLowerCase(),
        trace: span.spanContext().traceId,
        id: span.spanContext().spanId,
        parent: span.parentSpanContext?.spanId,
        links: span.links.map(({ context }) => context.traceId),
        startMs: span.startTime[0] * 1e3 + span.startTime[1] / 1e6,
      })),
  };
}
