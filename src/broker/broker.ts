import type { ChannelName } from "../core/channel.ts";
import type { NamespaceRules } from "../core/namespace.ts";
import type { Position } from "../core/position.ts";
import type { Body, ClientInfo, Priority, Publication } from "../core/publication.ts";
import type { TraceContext } from "../core/trace-context.ts";
import type { Outbox, OutboxOptions } from "./outbox.ts";
import type { MissingStream, StreamOverview } from "./streams.ts";

/**
 * The broker port: how messages reach instances, and what keeps them.
 *
 * Its law, which every driver keeps and the contract suite tests:
 *
 * 1. **Order and identity.** All attachments of one channel, on all instances, see its stored publications in the
 *    same order with the same offsets, each exactly once. Offsets of one epoch rise strictly; they need not be
 *    contiguous within a channel. True: 3, 7, 8. False: 3, 8, 7; 3, 7, 7.
 * 2. **No silent hole.** After `attach` resolved with position P, the sink gets every publication stored after P,
 *    whatever happens to links, servers or republished copies, as long as the store keeps it; when that cannot be
 *    kept the sink's `lost` is called with the position from which it goes on.
 * 3. **Stored means acknowledged.** `publish` resolves only when the store has the message. Rejected means: it may or
 *    may not be stored, publishing again with the same `id` is safe. Two publishes with one id to one channel
 *    (or to two of a namespace that is not divided into partitions) within the duplicate window are stored once; the
 *    second resolves with `duplicate: true` and the first one's position.
 * 4. **Ephemeral channels** (namespaces without history) deliver at most once, in the order of each publisher, with
 *    offset 0; `publish` resolves when the message is handed to the network, and fails while that is away.
 * 5. **Bodies.** What a sink gets or `history` returns is what the namespace accepts: in a `json` namespace valid
 *    JSON text without raw newlines, never longer than the namespace's limit. Anything else published to the channel
 *    is left out, counted, and reported as event `rejected`; it keeps its place in the chain, so it is no hole.
 * 6. **Callbacks** (`sink`, signal listeners) are called synchronously, never during the call that registered them,
 *    and MUST NOT throw; a driver MUST survive one that does.
 * 7. Nothing here retries without bound or queues without bound. While the network is away, `publish` waits in a
 *    bounded queue until its deadline and then rejects with `Errors.brokerUnavailable`.
 */
export interface Broker extends ChannelLog, Signals, Services, EventRecorder, SharedEntries {
  readonly driver: "memory" | "nats";

  /** Connects, creates or checks the streams. Fails with a message that says how to mend it. Call once. */
  start(): Promise<void>;

  /** Idempotent. Flushes what was published, then releases everything; attachments go silent. */
  close(): Promise<void>;

  status(): BrokerStatus;

  /** Called when {@link status} changes. Returns its own removal. */
  onStatus(listener: (status: BrokerStatus) => void): () => void;

  /**
   * Looks at the streams that keep messages, and at their copies; takes many reads. Absent: there are no streams.
   * @throws CommandError brokerUnavailable
   */
  streams?(): Promise<readonly (StreamOverview | MissingStream)[]>;

  /** Opens the outbox; once, after `start`. @throws Error that says how to mend it */
  outbox(options: OutboxOptions): Promise<Outbox>;

  /**
   * Gets ready for namespaces that were not there at the start: makes what is to keep their messages. Resolves with what
   * begins to follow them, to be called at most once, in the step in which they are added to the namespaces that the
   * broker was given. @throws Error that says how to mend it; what was made so far stays, and is empty
   */
  extend(added: readonly NamespaceRules[]): Promise<() => void>;
}

/** Messages of channels: publishing them, following them, and reading what the store keeps. */
export interface ChannelLog {
  /**
   * Publishes to one channel. @throws CommandError unknownChannel (namespace not configured), badRequest (body not
   * acceptable), limitExceeded (too long), brokerUnavailable
   */
  publish(channel: ChannelName, body: Body, options?: PublishOptions): Promise<Published>;

  /** Tells every attachment of the channel something that is not a message; at most once, never stored. */
  sendEvent(channel: ChannelName, event: SentEvent): void;

  /**
   * Follows a channel. Resolves once every later publication is certain to reach `sink`, with the position it starts
   * from. Several attachments of one channel are allowed (gateways use one). @throws CommandError brokerUnavailable
   */
  attach(channel: ChannelName, sink: ChannelSink): Promise<Attachment>;

  /**
   * Reads what the store keeps. @throws CommandError unrecoverablePosition when the stream never was at `since` (its
   * epoch is set and another's, it lies above the end, another message stands there), notAvailable in a namespace without history, brokerUnavailable
   */
  history(channel: ChannelName, query: HistoryQuery): Promise<HistoryPage>;

  /**
   * Asks the home of the store what a position is worth; takes up to some two seconds while its leader changes.
   * @throws CommandError notAvailable in a namespace without history, brokerUnavailable
   */
  verify(channel: ChannelName, position: Position): Promise<Verified>;

  /**
   * Removes what the store keeps of one channel; offsets go on rising. @throws CommandError notAvailable in a
   * namespace without history, brokerUnavailable
   */
  clearHistory(channel: ChannelName): Promise<void>;

  /**
   * Client-visible names of channels with stored messages, unordered, at most `limit`. @throws CommandError
   * notAvailable in a namespace without history, brokerUnavailable
   */
  storedChannels(namespace: string, limit: number): Promise<string[]>;

  /**
   * Where the newest message of a namespace went, whatever the channel; undefined when nothing is kept. One read for each
   * stream. @throws as {@link storedChannels}
   */
  newestIn(namespace: string): Promise<StoredAt | undefined>;
}

/** A channel, and when a message of it was stored, Unix ms. */
export interface StoredAt {
  readonly channel: string;
  readonly timeMs: number;
}

/** What instances say to each other. */
export interface Signals {
  /** Sends a control signal to every instance (this one too), or to one. At most once. */
  signal(kind: string, body: unknown, to?: { instance: string }): void;

  /**
   * As {@link signal}, and collects what the listeners return: resolves after `expect` answers or `timeoutMs`,
   * whichever comes first, with what came.
   */
  survey(
    kind: string,
    body: unknown,
    options: { to?: { instance: string }; expect?: number; timeoutMs: number },
  ): Promise<unknown[]>;

  /** Receives signals; what it returns (not `undefined`) answers a survey. Returns its own removal. */
  onSignal(listener: SignalListener): () => void;
}

/** A small fact under a key, until it expires. */
export interface Entry {
  /** 1 to 128 of `A-Z a-z 0-9 _ -`. */
  readonly key: string;
  /** A JSON object, checked by nobody; absent: removed. */
  readonly value: Readonly<Record<string, unknown>> | undefined;
  /** Unix ms; at most 90 days ahead. */
  readonly expiresAtMs: number;
}

/** Small facts that every instance must know within a second, and after every start: the last of each key counts. */
interface SharedEntries {
  /** Stores an entry, or removes it. @throws CommandError badRequest (malformed key), limitExceeded, brokerUnavailable */
  putEntry(entry: Entry): Promise<void>;

  /** Those that stand, complete once `start` has resolved. */
  entries(): readonly Entry[];

  /** Called with each entry that is put or removed from now on, perhaps more than once. Returns its own removal. */
  onEntry(listener: (entry: Entry) => void): () => void;
}

/** Requests to other services, and to those that are built in. */
interface Services {
  /**
   * Asks a service: `rtrpc.<name>` or `rtauth.<name>`. @throws CommandError methodNotFound (nobody listens), timeout,
   * brokerUnavailable, limitExceeded
   */
  request(service: "rpc" | "auth", name: string, body: Body, options: RequestOptions): Promise<ServiceReply>;

  /** Answers requests, one of the instances each; `control`: on `rtctl.<name>`, signals of that kind reach nobody else. */
  serve(
    service: "rpc" | "auth" | "control",
    name: string,
    handler: (body: string, headers: Readonly<Record<string, string>>) => Promise<string> | string,
  ): () => void;
}

/** Events for the business cluster. */
export interface EventRecorder {
  /**
   * Records an event for the business cluster (`rtevt.<kind>`, durable, at least once). Never blocks or throws: kept
   * in a bounded queue until stored; what overflows is counted and logged.
   * @param event plain values; `data` may be a `JsonText`, which is kept as it was written
   * @param id makes it idempotent across instances and retries
   * @param trace what it is a part of
   */
  emit(kind: string, event: Readonly<Record<string, unknown>>, id?: string, trace?: TraceContext): void;
}

export interface BrokerStatus {
  readonly state: "connecting" | "connected" | "disconnected" | "closed";
  /** When this state began, Unix ms. */
  readonly sinceMs: number;
  /** What is known of the server, for logs and `info`: version, missing features. */
  readonly server?: {
    readonly version: string;
    readonly missing: readonly string[];
    /** What it promises less for than the settings say, because an operator has accepted that. */
    readonly degraded?: readonly string[];
  };
}

export interface PublishOptions {
  /** Idempotency key; made up when absent. At most 128 printable ASCII characters without spaces. */
  readonly id?: string;
  readonly info?: ClientInfo;
  readonly tags?: Readonly<Record<string, string>>;
  readonly event?: string;
  readonly priority?: Priority;
  /** Connection that must not get it. */
  readonly except?: string;
  /**
   * Not to be stored: it reaches those who are attached now, at most once, without a position, and counts in no history,
   * cache or recovery. Its {@link id} says nothing. Changes nothing in a namespace without history.
   */
  readonly skipHistory?: boolean;
  /**
   * Which version of a document it is: it is not stored when the channel's newest message has the same epoch and a number that
   * is as high. The publish then resolves with that message's position, and `duplicate`. Only in a namespace with history.
   */
  readonly version?: DocumentVersion;
  /** Give up after this long, ms. Default: the driver's. */
  readonly timeoutMs?: number;
  /** What it is a part of, for those who get it. */
  readonly trace?: TraceContext | undefined;
}

/** One of the versions that a document has one after the other. */
export interface DocumentVersion {
  readonly number: number;
  /** Numbers begin again with another epoch. At most 128 printable ASCII characters without spaces. */
  readonly epoch: string;
}

export interface Published extends Position {
  readonly duplicate: boolean;
}

/** Something told to a channel's subscribers that is not a message. */
export type ChannelEvent = SentEvent | UnstoredMessage;

/** One of them that is no publish of its own. */
export type SentEvent = MemberEvent | ClientEvent | CountEvent;

/** A member joined or left. */
export interface MemberEvent {
  readonly kind: "join" | "leave";
  readonly info: ClientInfo;
  /**
   * Whose coming or going it is: a connection's, to be pushed to those who follow joins and leaves (and when nothing
   * stands here); a user's, its first or last connection, for lists of users; or both at once.
   */
  readonly of?: "connection" | "user" | "both";
}

/** A client tells the others something that nobody keeps (a Pusher client event). */
interface ClientEvent {
  readonly kind: "event";
  readonly event: string;
  /** JSON text. */
  readonly data: string;
  readonly info: ClientInfo;
  /** The connection that said it, and must not hear it. */
  readonly except: string;
}

/** A message that was published with {@link PublishOptions.skipHistory}. */
interface UnstoredMessage {
  readonly kind: "message";
  readonly publication: Publication;
}

/** How many are subscribed now, everywhere. */
interface CountEvent {
  readonly kind: "count";
  readonly count: number;
}

export interface ChannelSink {
  publication(publication: Publication): void;
  event(event: ChannelEvent): void;
  /**
   * Continuity is broken beyond repair: the stream is a new one, or messages were dropped before they could be read.
   * Publications after `position` follow.
   */
  lost(position: Position, why: "epoch" | "truncated"): void;
  /** Positions are given this epoch from now on; nothing was lost, and those handed out stay good. */
  renewed?(epoch: string): void;
}

export interface Attachment {
  /** Position after the last publication given to the sink. Everything up to here has already been delivered. */
  readonly position: Position;
  /**
   * The store kept nothing of the channel: messages after {@link position} may have come and gone before the attach,
   * so that only a complete page of history proves what a position before or after it has missed.
   */
  readonly empty?: boolean;
  /**
   * A position that somebody comes with, in the terms of now: the stream may have had another name when it was handed
   * out. Undefined when it belongs to a stream that is gone. An empty epoch means the current one.
   */
  current(position: Position): Position | undefined;
  /**
   * A position after the attachment's stands, and nothing of the channel lies between: the attachment is there, too, so that
   * its sink is told when the store goes back behind it. Absent where no store goes back.
   */
  advance?(offset: number): void;
  /** Something of the channel is known to be missing here, or may be, and is being read. Absent: never. */
  readonly behind?: boolean;
  /** Looks whether the store has more of the channel than has come: {@link behind}, then. Never rejects. Absent: never. */
  look?(): Promise<void>;
  /** Idempotent; the sink is not called again. */
  detach(): void;
}

/**
 * What the home of a store says of a position: `stands`, the store has what was there; `void`, it never had it, or holds
 * something else there now; `unproven`, it keeps nothing there any more, or does not answer.
 */
export type Standing = "stands" | "void" | "unproven";

/** A position, in the terms of now and naming its message where it did not, and what it is worth. */
export interface Verified {
  readonly standing: Standing;
  readonly position: Position;
}

/** What to read. Without `since` and `sinceMs`: from the oldest kept message (from the newest with `reverse`). */
export interface HistoryQuery {
  /** Exclusive in both directions. An empty epoch means the current one. */
  readonly since?: Position;
  /** Messages stored at or after this Unix time, ms. Not together with `since` or `reverse`. */
  readonly sinceMs?: number;
  /**
   * What came after this offset, known to have been stored, is not asked for (it may come all the same): the driver
   * need not look for the newest message first, and `position` may be this. Only forward, with `since`.
   */
  readonly until?: number;
  /** Most messages returned; 0 asks for the position only. */
  readonly limit: number;
  /**
   * Most bytes (UTF-16 units of text) of all returned messages together; a first one comes whatever its length.
   * The store is not asked for much more than that. A page cut by it has `more`.
   */
  readonly maxBytes?: number;
  /** `false`: nobody looks at `complete`, and nothing is read for it alone. */
  readonly proof?: false;
  readonly reverse?: boolean;
}

export interface HistoryPage {
  readonly publications: readonly Publication[];
  /** The channel's newest position when the page was read. */
  readonly position: Position;
  /**
   * Proven: between `since` and the last returned publication (or `position`, when `more` is false) the channel had
   * no other acceptable message than those returned. False when unknown.
   */
  readonly complete: boolean;
  /** The limit cut the page. */
  readonly more: boolean;
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export interface ServiceReply {
  readonly data: string;
  /** Set when the service answered with an error (NATS micro: `Nats-Service-Error-Code` and `Nats-Service-Error`). */
  readonly error?: { readonly code: number; readonly message: string };
}

export type SignalListener = (kind: string, body: unknown) => unknown;
