import type { SubscriptionOverrides } from "../auth/auth.ts";
import type { Position } from "../core/position.ts";
import type { Publication } from "../core/publication.ts";
import type { Codec } from "../protocol/codec.ts";
import type { Command } from "../protocol/command.ts";
import type { Subscription } from "./session/subscription.ts";

/** What a service tells an instance to subscribe a connection to. */
export interface ForcedSubscribe {
  readonly channel: string;
  /** JSON text shown to others as what is known of the member. */
  readonly info?: string | undefined;
  /** JSON text for the client itself. */
  readonly data?: string | undefined;
  /** Unix seconds when the subscription ends; absent: never. */
  readonly expireAt?: number | undefined;
  /** What is changed of the namespace's rules. */
  readonly override?: SubscriptionOverrides | undefined;
  /** What came after this is sent first, as far as it is kept. */
  readonly since?: Position | undefined;
}

/**
 * What a family of clients does at the gateway. A session holds one, from its handshake on, and calls it for whatever
 * depends on the protocol that is spoken; the gateway itself knows no protocol. Dialects are built where the instance
 * is put together, like drivers. One without state of its own is shared by all its connections.
 *
 * No method throws: a dialect answers, logs or closes by itself.
 * @typeParam S the gateway's session (a parameter, so that sessions may know dialects)
 */
export interface Dialect<S> {
  readonly codec: Codec;
  /** Whose SDKs speak it, in a word: they come back alike when they are told to. See {@link DrainPace}. */
  readonly family: string;
  /** An id for a new connection that no other connection has, on any instance. */
  newClientId(): string;
  /** The socket is open, and the connect deadline runs; a dialect without a connect command opens the session here. */
  opened(session: S): void;
  /** Carries out one command, as the codec has read it. Commands of one session arrive in order. */
  execute(session: S, command: Command): void;
  /**
   * A subscriber cannot be given everything it was promised: its channel's continuity broke, or it did not keep up. It
   * is told, or made to come back; a subscription that is still there afterwards goes on from the channel's position.
   */
  lost(session: S, sub: Subscription): void;
  /** Its channel is full of members, and it is none: the subscription ends, unless it has already. */
  refused(session: S, sub: Subscription): void;
  /** Whether a publication that is sent to bring the session up to date is for it; absent: all are. */
  wants?(publication: Publication): boolean;
  /** A service subscribes the session; nothing happens where clients know no subscriptions but their own. */
  subscribe(session: S, wanted: ForcedSubscribe): Promise<void>;
  /** A service has moved the session's expiry. */
  expiryMoved(session: S): void;
  /**
   * Has a service decide about a session that has expired, or about one of its subscriptions. Moves the expiry before it
   * returns. Absent: clients of this family renew by themselves, or not at all.
   */
  renew?(session: S, sub?: Subscription): void;
  /** An open session is over: what the dialect keeps of it is written down or given up. Its subscriptions still stand. */
  ended(session: S): void;
}

/** What the HTTP layer knows of a client when its socket opens. */
export interface Handshake {
  /** Client address, trusted proxies already resolved. */
  readonly ip: string;
  /** What admission counted it under; to be released with `admission.release` when the connection ends. */
  readonly admissionKey: string;
  readonly origin?: string | undefined;
  /** Headers of its request that some service is to see, in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The stream it came by; absent: a WebSocket. */
  readonly transport?: string | undefined;
  /** Where a one-way client goes on, by channel; beside what its connect says. */
  readonly resume?: ReadonlyMap<string, Position> | undefined;
  /** Secret name of the connection, for commands that come in requests of their own. */
  readonly session?: string | undefined;
}
