import type { TraceContext } from "./trace-context.ts";

/** Who a client is, as other clients of a channel may see it. JSON texts are spliced into frames unparsed. */
export interface ClientInfo {
  readonly client: string;
  readonly user: string;
  /** JSON text from the connection token's `info`. */
  readonly connInfo?: string;
  /** JSON text from the subscription token's `info`. */
  readonly chanInfo?: string;
}

/** A message body: JSON text (valid, without raw newlines) or bytes. */
export type Body = string | Uint8Array;

/** How much a message matters when an instance is overloaded: `low` is dropped first. */
export type Priority = "low" | "normal" | "high";

/**
 * One message of a channel as subscribers get it. Immutable; encoded at most once per codec, the result kept in
 * `frames` for as long as the publication lives (in the ring, mostly).
 */
export interface Publication {
  /** Where it is, see {@link Position}; 0 in channels without history. */
  readonly offset: number;
  /**
   * Offset of the message before it on this channel, 0 when there was none or it is gone. Absent when unknown
   * (read from the store, not from the live feed).
   */
  readonly prev?: number;
  readonly data: Body;
  /** Set when a client published it. */
  readonly info?: ClientInfo;
  readonly tags?: Readonly<Record<string, string>>;
  /** Event name for Pusher clients (header `Trunkline-Event`). */
  readonly event?: string;
  readonly priority?: Priority;
  /** Unix time of the publish in ms where known, else 0. */
  readonly timeMs: number;
  /** Connection that must not get it (`socket_id` of a Pusher publish); the header `Trunkline-Except`. */
  readonly except?: string;
  /** The trace that it belongs to, and when it was stored (Unix ms) where that is known. Only as it comes, and where traces are wanted. */
  readonly trace?: { readonly context: TraceContext; readonly storedMs?: number };
}

/** A publication's tags as Centrifuge clients see them: its event name, where it has one, is the tag `event`. */
export function tagsOf({ tags, event }: Publication): Readonly<Record<string, string>> | undefined {
  return event === undefined ? tags : { ...tags, event };
}
