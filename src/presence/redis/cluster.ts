import type { Logger } from "../../core/log.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type {
  Claim,
  ClaimTerms,
  ConnectionRecord,
  Connections,
  Cursor,
  Forgotten,
  Instances,
  JoinOutcome,
  LeaveOutcome,
  Members,
  Presence,
  PresenceStats,
  Swept,
} from "../presence.ts";
import type { ClusterLink } from "./link-cluster.ts";
import { Outages } from "./outages.ts";
import { PART_TAGS, PARTS, partOf, partPrefix } from "./parts.ts";
import { type RedisPresence, type RedisPresenceOptions, redisPresence } from "./redis.ts";

export interface ClusterPresenceOptions extends Omit<RedisPresenceOptions, "link" | "outages" | "maxParts"> {
  /** How the cluster is reached. Handed over: closed with the driver. */
  readonly link: Pick<ClusterLink, "lane" | "close">;
}

/** Most keys and arguments in a batch of one part: the parts of one node go out together. */
const MAX_PARTS = 2_048;

type State = "ok" | "degraded";

/**
 * Presence on a Redis Cluster: many small ones beside each other, each a whole of its own (leases, sweeps, scripts,
 * degradation) with all of its keys in one slot. A channel's members are in the part of the channel, a user's
 * connections and cursors in the part of the user, and nothing needs two parts at once. When a node is lost, or a slot
 * is moved, only what lies there is partial.
 */
export function clusterPresence(options: ClusterPresenceOptions): Presence {
  return new ClusterPresence(options);
}

class ClusterPresence implements Presence {
  readonly driver = "redis";
  readonly #link: Pick<ClusterLink, "lane" | "close">;
  readonly #log: Logger;
  readonly #parts: readonly RedisPresence[];
  readonly #statusListeners = new Set<(state: State) => void>();
  #state: State = "degraded";
  #sinceMs = Date.now();
  #starting = false;

  constructor({ link, prefix = "tl:", ...options }: ClusterPresenceOptions) {
    const { log, stats } = options;
    const outages = new Outages({ log, stats, parts: PARTS });
    this.#link = link;
    this.#log = log;
    this.#parts = PART_TAGS.map((tag, part) =>
      redisPresence({
        ...{ ...options, outages, maxParts: MAX_PARTS },
        ...{ link: link.lane(tag), prefix: partPrefix(prefix, part) },
      }),
    );
  }

  async start(): Promise<void> {
    if (this.#starting) throw new Error("presence was started before");
    this.#starting = true;
    await Promise.all(this.#parts.map((part) => part.start()));
    this.#look();
    for (const part of this.#parts) part.onStatus(() => this.#look());
  }

  async close(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.close()));
    this.#link.close();
  }

  status(): { readonly state: State; readonly sinceMs: number } {
    return { state: this.#state, sinceMs: this.#sinceMs };
  }

  onStatus(listener: (state: State) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  onSwept(listener: (swept: Swept) => void | Promise<void>): () => void {
    const removals = this.#parts.map((part) => part.onSwept(listener));
    return () => {
      for (const remove of removals) remove();
    };
  }

  connected(connection: ConnectionRecord): Promise<void> {
    return this.#of(connection.user || connection.client).connected(connection);
  }

  claim(connection: ConnectionRecord, terms: ClaimTerms): Promise<Claim> {
    return this.#of(connection.user || connection.client).claim(connection, terms);
  }

  async disconnected(client: string): Promise<void> {
    const holding = this.#parts.filter((part) => part.holds(client));
    await Promise.all(holding.map((part) => part.disconnected(client)));
  }

  join(channel: string, info: ClientInfo, mostUsers?: number): Promise<JoinOutcome> {
    return this.#of(channel).join(channel, info, mostUsers);
  }

  leave(channel: string, client: string): Promise<LeaveOutcome> {
    return this.#of(channel).leave(channel, client);
  }

  members(channel: string, limit: number): Promise<Members> {
    return this.#of(channel).members(channel, limit);
  }

  stats(channel: string): Promise<PresenceStats> {
    return this.#of(channel).stats(channel);
  }

  connectionsOf(user: string): Promise<Connections> {
    return this.#of(user).connectionsOf(user);
  }

  async forget(connections: readonly ConnectionRecord[]): Promise<readonly Forgotten[]> {
    if (connections.length === 0) return [];
    // Where a connection of another instance is a member, only the parts know.
    return (await Promise.all(this.#parts.map((part) => part.forget(connections)))).flat();
  }

  loadCursor(user: string, device: string): Promise<Cursor | undefined> {
    return this.#of(user).loadCursor(user, device);
  }

  saveCursor(user: string, device: string, cursor: Cursor, ttlMs: number): void {
    this.#of(user).saveCursor(user, device, cursor, ttlMs);
  }

  /** Every live instance has a lease in every part that it reaches: one that is whole knows them all. */
  instances(): Promise<Instances> {
    const whole = this.#parts.find((part) => part.status().state === "ok");
    return (whole ?? this.#parts[0]!).instances();
  }

  #of(name: string): RedisPresence {
    return this.#parts[partOf(name)]!;
  }

  #look(): void {
    const state = this.#parts.every((part) => part.status().state === "ok") ? "ok" : "degraded";
    if (state === this.#state) return;
    this.#state = state;
    this.#sinceMs = Date.now();
    for (const listener of this.#statusListeners) {
      try {
        listener(state);
      } catch (error) {
        this.#log.error("a presence status listener failed", { error });
      }
    }
  }
}
