import { AsyncLocalStorage } from "node:async_hooks";
import type * as OtelApi from "@opentelemetry/api";
import { CommandError, ConnectionError, Errors } from "../core/errors.ts";
import { isSampled, readTraceContext, type TraceContext, traceIdOf } from "../core/trace-context.ts";
import type { Caller, From, Span, SpanFacts, SpanStart, Tracing } from "../core/tracing.ts";

export interface OtelTracingOptions {
  /** The package, loaded by whoever wants traces. */
  readonly api: typeof OtelApi;
  readonly tracer: OtelApi.Tracer;
  /** Whose contexts are believed. */
  readonly trusts: Readonly<Record<Caller, boolean>>;
}

/** Longest text of a fact: some come from clients. */
const LONGEST_FACT = 512;

/** What spans that begin now belong to. */
class Work {
  readonly context: TraceContext;
  /** Who brought the context; absent: it is our own. */
  readonly caller: Caller | undefined;
  /** What was begun here and goes on, such as a timer, does not belong to it any more. */
  over = false;

  constructor(context: TraceContext, caller?: Caller) {
    this.context = context;
    this.caller = caller;
  }
}

/** Traces by OpenTelemetry's packages. Work under way is followed by the runtime (`AsyncLocalStorage`), not by parameters. */
export class OtelTracing implements Tracing {
  readonly #options: OtelTracingOptions;
  readonly #works = new AsyncLocalStorage<Work>();

  constructor(options: OtelTracingOptions) {
    this.#options = options;
  }

  active(): TraceContext | undefined {
    const work = this.#current();
    return work && this.#trusts(work.caller) ? work.context : undefined;
  }

  span<T>(start: SpanStart, work: (span: Span) => T): T {
    const span = this.#begin(start);
    const open = new OpenSpan(span, contextOf(span.spanContext()), start.kind);
    return this.#do(open, () => work(open));
  }

  under<T>(from: From | undefined, work: () => T): T {
    return from ? this.#do(new Work(from.context, from.caller), work) : work();
  }

  record(start: SpanStart & { readonly from: From; readonly startMs: number }): void {
    const { context, caller } = start.from;
    // What nobody records need not be made; of strangers the sampler decides.
    if (this.#trusts(caller) && !isSampled(context)) return;
    const nowMs = Date.now();
    // Two clocks may have met in it.
    this.#begin(start, Math.min(start.startMs, nowMs)).end(nowMs);
  }

  #current(): Work | undefined {
    const work = this.#works.getStore();
    return work?.over === false ? work : undefined;
  }

  #trusts(caller: Caller | undefined): boolean {
    return caller === undefined || this.#options.trusts[caller];
  }

  #do<T>(work: Work, run: () => T): T {
    let result: T;
    try {
      result = this.#works.run(work, run);
    } catch (error) {
      endOf(work, error);
      throw error;
    }
    if (!(result instanceof Promise)) {
      endOf(work);
      return result;
    }
    return result.then(
      (value: unknown) => {
        endOf(work);
        return value;
      },
      (error: unknown) => {
        endOf(work, error);
        throw error;
      },
    ) as T;
  }

  #begin({ name, kind, facts, from, links = [] }: SpanStart, startTime?: number): OtelApi.Span {
    const { api, tracer } = this.#options;
    const given: From | Work | undefined = from ?? this.#current();
    const trusted = given !== undefined && this.#trusts(given.caller);
    const linked = given === undefined || trusted ? links : [given.context, ...links];
    const context = trusted
      ? api.trace.setSpanContext(api.ROOT_CONTEXT, this.#remote(given.context))
      : api.ROOT_CONTEXT;
    return tracer.startSpan(
      name,
      {
        kind: api.SpanKind[kind.toUpperCase() as Uppercase<typeof kind>],
        attributes: cleaned(facts),
        links: linked.map((one) => ({ context: this.#remote(one) })),
        ...(startTime !== undefined && { startTime }),
      },
      context,
    );
  }

  #remote(context: TraceContext): OtelApi.SpanContext {
    const { tracestate, traceparent } = context;
    return {
      traceId: traceIdOf(context),
      spanId: traceparent.slice(36, 52),
      traceFlags: isSampled(context) ? 1 : 0,
      isRemote: true,
      ...(tracestate !== undefined && { traceState: this.#options.api.createTraceState(tracestate) }),
    };
  }
}

class OpenSpan extends Work implements Span {
  readonly span: OtelApi.Span;
  readonly #kind: SpanStart["kind"];

  constructor(span: OtelApi.Span, context: TraceContext, kind: SpanStart["kind"]) {
    super(context);
    this.span = span;
    this.#kind = kind;
  }

  note(facts: SpanFacts): void {
    if (this.span.isRecording()) this.span.setAttributes(cleaned(facts));
  }

  failed(type: string): void {
    this.note({ "error.type": type });
    this.span.setStatus({ code: ERROR });
  }

  /** What was thrown: a caller's own mistake does not make the work of a server fail. */
  threw(error: unknown): void {
    const known = error instanceof CommandError ? error.error : undefined;
    const type = known
      ? String(known.code)
      : error instanceof ConnectionError
        ? String(error.close.code)
        : nameOf(error);
    const own = this.#kind === "server" && error instanceof ConnectionError;
    const theirs = known && known !== Errors.internal && !("temporary" in known && known.temporary);
    if (own || (this.#kind === "server" && theirs)) this.note({ "error.type": type });
    else this.failed(type);
  }
}

/** `SpanStatusCode.ERROR` */
const ERROR = 2;

const nameOf = (error: unknown) => (error instanceof Error ? error.name : "unknown");

/** @param thrown what the work has thrown */
function endOf(work: Work, thrown?: unknown): void {
  work.over = true;
  if (!(work instanceof OpenSpan)) return;
  if (thrown !== undefined) work.threw(thrown);
  work.span.end();
}

function contextOf({ traceId, spanId, traceFlags, traceState }: OtelApi.SpanContext): TraceContext {
  const traceparent = `00-${traceId}-${spanId}-${traceFlags === 1 ? "01" : "00"}`;
  return traceState
    ? (readTraceContext(traceparent, traceState.serialize()) ?? { traceparent })
    : { traceparent };
}

function cleaned(facts: SpanFacts = {}): Record<string, string | number | boolean> {
  const all: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(facts)) {
    if (value !== undefined) all[name] = typeof value === "string" ? value.slice(0, LONGEST_FACT) : value;
  }
  return all;
}
