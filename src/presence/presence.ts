import type { ClientInfo } from "../core/publication.ts";

/**
 * The presence port: who is online where.
 *
 * Its law, which every driver keeps and the contract suite tests:
 *
 * 1. A member is (channel, instance, client). It counts while its instance's lease lives (15 s, renewed every 5 s),
 *    so staying online costs nothing per connection.
 * 2. Within 20 s of a crash the dead instance's members are gone everywhere, and exactly one survivor has had them in
 *    `onSwept`. (At least once, if that survivor dies too.)
 * 3. `join` and `leave` are idempotent. Their outcomes are atomic across instances: of two connections of one user
 *    joining at once exactly one is `firstOfUser`.
 * 4. Counts are O(1), lists O(members).
 * 5. Writes of one tick are sent together in one pipeline; each call has a deadline and is never retried blindly.
 * 6. When Redis refuses once, may have lost something (evicted, flushed, restarted, promoted), or does not answer more
 *    than 10 % of its calls, the driver is `degraded`: answers come from this instance's own truth with `partial: true`,
 *    nothing throws or waits, and when Redis is back what this instance holds is written again. Answers are `partial`
 *    for the time of a lease after that, until the others have done the same. Messaging never waits for presence.
 * 7. Nothing is stored without an expiry.
 */
export interface Presence {
  readonly driver: "memory" | "redis";

  /** Takes the lease and starts the sweeper. Resolves degraded rather than failing when Redis is away. Call once. */
  start(): Promise<void>;

  /** Idempotent. Gives back the lease and everything held under it. */
  close(): Promise<void>;

  status(): { readonly state: "ok" | "degraded"; readonly sinceMs: number };

  /** Called when the state changes. Returns its own removal. */
  onStatus(listener: (state: "ok" | "degraded") => void): () => void;

  /** Records a connection (`tl:conn:{id}`, `tl:user:{id}`). Resolves when written or given up. */
  connected(connection: ConnectionRecord): Promise<void>;

  /**
   * Records a connection of a user, unless the user has as many as may be. Looked at and written in one step for all
   * instances: of any number of connections that come together, no more than `limit` are admitted, and each is told
   * of those that were admitted before it. What was admitted is to be given back by {@link disconnected}.
   */
  claim(connection: ConnectionRecord, terms: ClaimTerms): Promise<Claim>;

  disconnected(client: string): Promise<void>;

  /**
   * Adds a member. The outcome says whether it is the user's, or anybody's, first in the channel. A user that is not in
   * it yet is refused when so many others are, decided in one step for all instances.
   * @param mostUsers 0: no limit
   */
  join(channel: string, info: ClientInfo, mostUsers?: number): Promise<JoinOutcome>;

  /** Removes a member. The outcome says whether it was the user's, or anybody's, last in the channel. */
  leave(channel: string, client: string): Promise<LeaveOutcome>;

  /** At most `limit` members; `partial` when only this instance's own are known. */
  members(channel: string, limit: number): Promise<Members>;

  stats(channel: string): Promise<PresenceStats>;

  /** Live connections of a user on all instances; `partial` when some may be missing. */
  connectionsOf(user: string): Promise<Connections>;

  /**
   * Removes connections from the store before they are closed (kick): nobody sees them as online from now on.
   * Their instances still call {@link leave} and {@link disconnected}, which then change nothing: who kicks tells what
   * this returns, the memberships that ended.
   */
  forget(connections: readonly ConnectionRecord[]): Promise<readonly Forgotten[]>;

  /**
   * Where a user (on a device, when named) has confirmably read its inbox up to, so that a client without a position
   * of its own gets what came while it was away. `undefined`: never seen, or longer ago than `ttlMs`.
   */
  loadCursor(user: string, device: string): Promise<Cursor | undefined>;
  saveCursor(user: string, device: string, cursor: Cursor, ttlMs: number): void;

  /** Live instances, this one included; `partial` when some may be missing. */
  instances(): Promise<Instances>;

  /**
   * Hands over what a crashed instance held, in batches, to the one survivor that swept it. Returns its own removal.
   * A promise is waited for (half a renewal interval at most): a batch whose listener failed or was too slow is
   * handed over again, here or on another instance. `instance` may be this one's own name, when it was restarted
   * under it or lost its lease; connections that live on are not in it.
   */
  onSwept(listener: (swept: Swept) => void | Promise<void>): () => void;
}

/** One connection, as stored in `tl:conn:{client}`. */
export interface ConnectionRecord {
  readonly client: string;
  readonly user: string;
  readonly device: string;
  readonly region: string;
  readonly instance: string;
  readonly ip: string;
  /** Unix time it was opened, ms. */
  readonly sinceMs: number;
}

/** Under which terms a connection is admitted. */
export interface ClaimTerms {
  /** Most connections of the user, this one included; 0: no limit. */
  readonly limit: number;
  /** Connections that do not count, because they are known to be dead. */
  readonly ignore: readonly ConnectionRecord[];
}

/** What became of a claim. */
export interface Claim {
  readonly admitted: boolean;
  /** The user's other connections, those that do not count included. */
  readonly others: readonly ConnectionRecord[];
}

/** One instance, as stored in `tl:inst:{id}`. */
export interface InstanceRecord {
  readonly instance: string;
  readonly region: string;
  readonly connections: number;
  /** Connections it takes at most; 0 while it takes no new ones. */
  readonly capacity: number;
}

export interface Connections {
  readonly connections: readonly ConnectionRecord[];
  readonly partial: boolean;
}

export interface Instances {
  readonly instances: readonly InstanceRecord[];
  readonly partial: boolean;
}

/** How much an instance has to do now. */
export type InstanceLoad = Pick<InstanceRecord, "connections" | "capacity">;

export interface JoinOutcome {
  /** The channel is full: it is no member. */
  readonly refused?: true;
  readonly firstOfUser: boolean;
  readonly firstOfChannel: boolean;
}

export interface LeaveOutcome {
  readonly lastOfUser: boolean;
  readonly lastOfChannel: boolean;
}

export interface Members {
  readonly members: readonly ClientInfo[];
  readonly partial: boolean;
}

export interface PresenceStats {
  readonly clients: number;
  readonly users: number;
  readonly partial: boolean;
}

/** A membership that ended with a forgotten connection. */
export interface Forgotten extends LeaveOutcome {
  readonly channel: string;
  /** Who was there: in channels with ids of their own another name than the connection's. */
  readonly user: string;
  readonly client: string;
}

export interface Cursor {
  readonly epoch: string;
  readonly offset: number;
}

export interface Swept {
  readonly instance: string;
  readonly connections: readonly ConnectionRecord[];
  readonly left: readonly (LeaveOutcome & { readonly channel: string; readonly info: ClientInfo })[];
}
