/**
 * Where a piece of work stands in a distributed trace, by W3C Trace Context (https://www.w3.org/TR/trace-context/). Made by
 * {@link readTraceContext} or by a span of ours, so that it may go into any header as it is.
 */
export interface TraceContext {
  /** `00-<id of the trace>-<id of the caller's span>-<flags>`, 55 characters. */
  readonly traceparent: string;
  /** What the systems on the way have noted, at most 512 characters. */
  readonly tracestate?: string;
}

/** A later version may have more behind the flags; the ids and flags stand where they stand today. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?$/;

/** Longest `traceparent` that is looked at: a later version's own part has room. */
const LONGEST_PARENT = 256;

/** Longest `tracestate`, and most members of it, that must be passed on. */
const LONGEST_STATE = 512;
const MOST_MEMBERS = 32;

const MEMBER =
  /^[ \t]*(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e][ \t]*$/;

/**
 * Reads the two headers as they come from outside. A `traceparent` that is none is as good as absent; a `tracestate` that is
 * none, or too long, is left out.
 */
export function readTraceContext(
  traceparent: string | null | undefined,
  tracestate?: string | null,
): TraceContext | undefined {
  if (!traceparent || traceparent.length > LONGEST_PARENT) return undefined;
  const [, version, ids, more] = TRACEPARENT.exec(traceparent) ?? [];
  if (ids === undefined || (version === "00" && more !== undefined)) return undefined;
  const context = { traceparent: `00${ids}` };
  return tracestate && isTraceState(tracestate) ? { ...context, tracestate } : context;
}

function isTraceState(text: string): boolean {
  if (text.length > LONGEST_STATE) return false;
  const members = text.split(",");
  return members.length <= MOST_MEMBERS && members.every((member) => MEMBER.test(member));
}

/** Whether the caller records the trace. */
export function isSampled({ traceparent }: TraceContext): boolean {
  return (Number.parseInt(traceparent.slice(-1), 16) & 1) === 1;
}

export function traceIdOf({ traceparent }: TraceContext): string {
  return traceparent.slice(3, 35);
}

/** The id of the trace that something belongs to, as a field of log lines; none for none. */
export function traceField(context: TraceContext | undefined): { readonly trace_id?: string } {
  return context ? { trace_id: traceIdOf(context) } : {};
}

/** The headers that hand a context on, in HTTP and in NATS; none for none. */
export function traceHeaders(context: TraceContext | undefined): Readonly<Record<string, string>> {
  if (!context) return {};
  const { traceparent, tracestate } = context;
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
}
