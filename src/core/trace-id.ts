/** `traceparent` of W3C Trace Context: version, id of the trace, id of the caller's step, flags. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

/** The id of the trace that a request belongs to, as a field of log lines; none for a header that is none. */
export function traceField(traceparent: string | null | undefined): { readonly trace_id?: string } {
  const [, id] = TRACEPARENT.exec(traceparent ?? "") ?? [];
  return id === undefined || /^0+$/.test(id) ? {} : { trace_id: id };
}
