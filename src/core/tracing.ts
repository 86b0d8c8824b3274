import { readTraceContext, type TraceContext } from "./trace-context.ts";

/** Who brings a context: whether it is believed is a setting. */
export type Caller = "service" | "client";

/** Facts of a span, by the names of OpenTelemetry's conventions; `undefined` is left out. */
export type SpanFacts = Readonly<Record<string, string | number | boolean | undefined>>;

/** A context that came from elsewhere. */
export interface From {
  readonly context: TraceContext;
  /** Who brought it; absent: an instance of ours wrote it down. */
  readonly caller?: Caller;
}

/** How a span is called, and what it belongs to. */
export interface SpanStart {
  /** One of few: never with a name of a channel, user or method in it. */
  readonly name: string;
  readonly kind: "server" | "client" | "producer" | "consumer";
  readonly facts?: SpanFacts;
  /** What the caller sent along; absent: the work under way is the parent. */
  readonly from?: From | undefined;
  /** Other work that led to this. */
  readonly links?: readonly TraceContext[];
}

/** A span that is not over. */
export interface Span {
  /** To be sent along to whoever does a part of the work. */
  readonly context: TraceContext;
  /** Adds facts. */
  note(facts: SpanFacts): void;
  /** The work has failed, though it throws nothing. @param type a code, or the name of an error */
  failed(type: string): void;
}

/**
 * Distributed traces. Absent wherever it is optional: nobody wants them, and nothing is done for them. Its law:
 *
 * 1. Nothing here throws, waits, or holds without bound; what cannot be sent is counted and forgotten.
 * 2. A context from outside is a parent only if its {@link Caller} is trusted. Of others the trace begins anew, by the sampler
 *    of the settings, and shows theirs as a link: nobody outside decides what is recorded.
 * 3. What is not recorded is still handed on, so that services decide alike.
 */
export interface Tracing {
  /** The work under way; `undefined`: it belongs to no trace, or that part of it is over. */
  active(): TraceContext | undefined;

  /** Does work within a span, which ends when the work returns, or its promise settles. What it throws passes through. */
  span<T>(start: SpanStart, work: (span: Span) => T): T;

  /** Does work for a caller who sent a context along: it is the parent of spans that begin in it. */
  under<T>(from: From | undefined, work: () => T): T;

  /** A span of work that is over, if its parent is recorded. @param startMs Unix ms */
  record(start: SpanStart & { readonly from: From; readonly startMs: number }): void;
}

/** What a caller sent along in HTTP or NATS; `undefined` when it sent nothing, or nobody wants traces. */
export function fromHeaders(
  tracing: Tracing | undefined,
  caller: Caller,
  get: (name: string) => string | null | undefined,
): From | undefined {
  const context = tracing && readTraceContext(get("traceparent"), get("tracestate"));
  return context && { caller, context };
}

/** Does work for a caller, where traces are wanted; see {@link Tracing.under}. */
export function under<T>(tracing: Tracing | undefined, from: From | undefined, work: () => T): T {
  return tracing && from ? tracing.under(from, work) : work();
}
