import type { NamespaceRules } from "../../../core/namespace.ts";
import type { Publication } from "../../../core/publication.ts";
import { type Flaw, isRefused, readBody } from "../../body.ts";
import { type Envelope, readInfo } from "../link/headers.ts";

/**
 * What subscribers get of a message, or why they get nothing.
 * @param traced with the trace that it belongs to
 */
export function toPublication(
  envelope: Envelope,
  rules: NamespaceRules,
  offset: number,
  prev: number | undefined,
  traced = false,
): Publication | { readonly flaw: Flaw } {
  const data = readBody(envelope.data, envelope.contentType, rules);
  if (isRefused(data)) return data;
  const { event, tags, priority, except } = envelope;
  const info = envelope.from === undefined ? undefined : readInfo(envelope.from);
  const trace = traced && envelope.traceparent !== undefined ? traceOf(envelope) : undefined;
  // Member by member: nearly all messages have few of them, and each spread would make an object of its own.
  const publication: { -readonly [K in keyof Publication]: Publication[K] } = {
    offset,
    data,
    timeMs: envelope.timeMs,
  };
  if (prev !== undefined) publication.prev = prev;
  if (info) publication.info = info;
  if (tags) publication.tags = tags;
  if (event !== undefined) publication.event = event;
  if (priority) publication.priority = priority;
  if (except !== undefined) publication.except = except;
  if (trace) publication.trace = trace;
  return publication;
}

function traceOf({ trace: context, storedMs }: Envelope): Publication["trace"] {
  return context && (storedMs > 0 ? { context, storedMs } : { context });
}

export function isFlawed(one: Publication | { readonly flaw: Flaw }): one is { readonly flaw: Flaw } {
  return "flaw" in one;
}
