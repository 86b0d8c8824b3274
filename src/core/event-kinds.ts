/** Kinds of events that gateways tell, each of them `rtevt.<kind>`; the broker's own `rejected` is none of them. */
export const EVENT_KINDS = [
  "connect",
  "disconnect",
  "join",
  "leave",
  "occupied",
  "vacated",
  "message",
  "audit",
] as const;

export type EventKind = (typeof EVENT_KINDS)[number];
