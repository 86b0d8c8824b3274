import type { Logger } from "../../core/log.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type { Stats } from "../../core/stats.ts";
import { MembershipTable } from "../membership-table.ts";
import type {
  Claim,
  ClaimTerms,
  ConnectionRecord,
  Connections,
  Cursor,
  Forgotten,
  InstanceLoad,
  InstanceRecord,
  Instances,
  JoinOutcome,
  LeaveOutcome,
  Members,
  Presence,
  PresenceStats,
  Swept,
} from "../presence.ts";

/** Cursors kept; beyond, the oldest is forgotten. */
const MAX_CURSORS = 100_000;

/** What the memory drivers of one process share, in place of a Redis. */
export interface MemoryPresenceHub {
  /** Plays the sudden death of an instance: its driver does nothing any more, its lease runs out. */
  crash(instance: string): void;
}

export function memoryPresenceHub(): MemoryPresenceHub {
  return new Hub();
}

export interface MemoryPresenceOptions {
  readonly hub: MemoryPresenceHub;
  readonly instance: string;
  readonly region: string;
  /** After a crash, how long what the instance held still counts; default 15 s. */
  readonly leaseTtlMs?: number;
  /** How soon a failed report of a sweep is repeated; default 5 s. */
  readonly renewMs?: number;
  readonly log: Logger;
  readonly stats: Stats;
  readonly load: () => InstanceLoad;
}

/** Presence within one process: the embedded default, and the reference for the other drivers. Never degraded. */
export function memoryPresence(options: MemoryPresenceOptions): Presence {
  if (!(options.hub instanceof Hub)) throw new TypeError("hub is not from memoryPresenceHub()");
  return new MemoryPresence(options.hub, options);
}

/** What a crashed instance left. */
interface Remains {
  readonly instance: InstanceRecord;
  /** Keys of its connections in the membership table; empty once removed. */
  keys: readonly string[];
  /** Removed, and not yet taken by a listener. */
  report: Swept | undefined;
  /** When it is due, by `performance.now()`. */
  dueMs: number;
}

class Hub implements MemoryPresenceHub {
  readonly memberships = new MembershipTable();
  readonly live = new Map<string, MemoryPresence>();
  readonly cursors = new Map<string, { readonly cursor: Cursor; readonly untilMs: number }>();
  #remains: Remains[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  enter(presence: MemoryPresence): void {
    const { instance } = presence.record();
    if (this.live.has(instance)) throw new Error(`instance ${instance} exists already`);
    this.live.set(instance, presence);
    // A new life of the same instance proves that the old one is over.
    for (const remains of this.#remains) if (remains.instance.instance === instance) remains.dueMs = 0;
    this.#schedule();
  }

  exit(instance: string): void {
    this.live.delete(instance);
    this.#schedule();
  }

  crash(instance: string): void {
    const presence = this.live.get(instance);
    if (!presence) return;
    this.live.delete(instance);
    const dueMs = performance.now() + presence.leaseTtlMs;
    this.#remains.push({ instance: presence.record(), keys: presence.die(), report: undefined, dueMs });
    this.#schedule();
  }

  instances(): InstanceRecord[] {
    const dying = this.#remains.flatMap(({ instance, report }) => (report ? [] : [instance]));
    return [...this.live.values()].map((presence) => presence.record()).concat(dying);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.live.size === 0 || this.#remains.length === 0) return;
    const next = Math.min(...this.#remains.map(({ dueMs }) => dueMs));
    this.#timer = setTimeout(() => this.#sweep(), Math.max(0, next - performance.now()));
  }

  #sweep(): void {
    const survivor = this.live.values().next().value;
    const remains = this.#remains.find(({ dueMs }) => dueMs <= performance.now());
    if (survivor && remains) {
      const { instance } = remains.instance;
      const gone = remains.keys.map((key) => this.memberships.disconnect(key));
      remains.keys = [];
      remains.report ??= {
        instance,
        connections: gone.flatMap(({ record }) => record ?? []),
        left: gone.flatMap(({ left }) => left),
      };
      this.#remains = this.#remains.filter((other) => other !== remains);
      void survivor.tell(remains.report).then((told) => {
        if (told) return;
        remains.dueMs = performance.now() + survivor.renewMs / 2;
        this.#remains.push(remains);
        this.#schedule();
      });
    }
    this.#schedule();
  }
}

class MemoryPresence implements Presence {
  readonly driver = "memory";
  readonly leaseTtlMs: number;
  readonly renewMs: number;
  readonly #hub: Hub;
  readonly #options: MemoryPresenceOptions;
  readonly #sweptListeners = new Set<(swept: Swept) => void | Promise<void>>();
  readonly #sinceMs = Date.now();
  /** What the keys of this instance's connections begin with. */
  readonly #prefix: string;
  #phase: "new" | "ok" | "closed" = "new";

  constructor(hub: Hub, options: MemoryPresenceOptions) {
    this.#hub = hub;
    this.#options = options;
    this.#prefix = connectionKey(options.instance, "");
    this.leaseTtlMs = options.leaseTtlMs ?? 15_000;
    this.renewMs = options.renewMs ?? 5_000;
  }

  async start(): Promise<void> {
    if (this.#phase !== "new") throw new Error("presence was started before");
    this.#hub.enter(this);
    this.#phase = "ok";
  }

  async close(): Promise<void> {
    if (this.#phase !== "ok") return;
    for (const key of this.die()) this.#hub.memberships.disconnect(key);
    this.#hub.exit(this.#options.instance);
  }

  status(): { readonly state: "ok"; readonly sinceMs: number } {
    return { state: "ok", sinceMs: this.#sinceMs };
  }

  onStatus(): () => void {
    return () => {};
  }

  onSwept(listener: (swept: Swept) => void | Promise<void>): () => void {
    this.#sweptListeners.add(listener);
    return () => this.#sweptListeners.delete(listener);
  }

  async connected(connection: ConnectionRecord): Promise<void> {
    if (this.#phase === "ok") this.#hub.memberships.connect(this.#prefix + connection.client, connection);
  }

  async claim(connection: ConnectionRecord, terms: ClaimTerms): Promise<Claim> {
    if (this.#phase !== "ok") return { admitted: true, others: [] };
    return this.#hub.memberships.claim(this.#prefix + connection.client, connection, terms);
  }

  async disconnected(client: string): Promise<void> {
    if (this.#phase === "ok") this.#hub.memberships.disconnect(this.#prefix + client);
  }

  async join(channel: string, info: ClientInfo, mostUsers?: number): Promise<JoinOutcome> {
    if (this.#phase !== "ok") return { firstOfUser: false, firstOfChannel: false };
    return this.#hub.memberships.join(this.#prefix + info.client, channel, info, mostUsers);
  }

  async leave(channel: string, client: string): Promise<LeaveOutcome> {
    if (this.#phase !== "ok") return { lastOfUser: false, lastOfChannel: false };
    return this.#hub.memberships.leave(this.#prefix + client, channel);
  }

  async members(channel: string, limit: number): Promise<Members> {
    return { members: this.#hub.memberships.members(channel, limit), partial: false };
  }

  async stats(channel: string): Promise<PresenceStats> {
    return { ...this.#hub.memberships.stats(channel), partial: false };
  }

  async connectionsOf(user: string): Promise<Connections> {
    return { connections: this.#hub.memberships.connectionsOf(user), partial: false };
  }

  async forget(connections: readonly ConnectionRecord[]): Promise<readonly Forgotten[]> {
    return connections.flatMap(({ instance, client }) =>
      this.#hub.memberships
        .disconnect(connectionKey(instance, client))
        .left.map(({ info, ...membership }) => ({ ...membership, user: info.user, client })),
    );
  }

  async loadCursor(user: string, device: string): Promise<Cursor | undefined> {
    const kept = this.#hub.cursors.get(connectionKey(user, device));
    return kept && kept.untilMs > Date.now() ? kept.cursor : undefined;
  }

  saveCursor(user: string, device: string, cursor: Cursor, ttlMs: number): void {
    const { cursors } = this.#hub;
    const key = connectionKey(user, device);
    cursors.delete(key);
    cursors.set(key, { cursor, untilMs: Date.now() + ttlMs });
    if (cursors.size > MAX_CURSORS) cursors.delete(cursors.keys().next().value!);
  }

  async instances(): Promise<Instances> {
    return { instances: this.#hub.instances(), partial: false };
  }

  record(): InstanceRecord {
    const { instance, region, load } = this.#options;
    return { instance, region, ...load() };
  }

  /** Does nothing from now on. The keys of what it held. */
  die(): string[] {
    this.#phase = "closed";
    return [...this.#hub.memberships.entries()].flatMap(([key]) =>
      key.startsWith(this.#prefix) ? [key] : [],
    );
  }

  /** Whether every listener took it. */
  async tell(swept: Swept): Promise<boolean> {
    try {
      await Promise.all([...this.#sweptListeners].map(async (listener) => listener(swept)));
      this.#options.stats.presenceSweeps++;
      return true;
    } catch (error) {
      this.#options.log.warn("a sweep was not handled and will be delivered again", { error });
      return false;
    }
  }
}

/** The length first, so that no two pairs of names make one key. */
function connectionKey(instance: string, client: string): string {
  return `${instance.length} ${instance}${client}`;
}
