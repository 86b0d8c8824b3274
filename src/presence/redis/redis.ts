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
  Instances,
  JoinOutcome,
  LeaveOutcome,
  Members,
  Presence,
  PresenceStats,
  Swept,
} from "../presence.ts";
import { Completeness } from "./completeness.ts";
import { Cursors } from "./cursors.ts";
import { forgetOthers, forgotten } from "./forget.ts";
import { InstanceLease, type LeaseAnswer, leaseAnswer } from "./instance-lease.ts";
import type { Keys } from "./keys.ts";
import { presenceKeys } from "./keys.ts";
import type { RedisLink, Reply } from "./link.ts";
import { LinkError } from "./link.ts";
import { Mirror } from "./mirror.ts";
import { joinOutcome, leaveOutcome, readClaim } from "./operations.ts";
import { Outages } from "./outages.ts";
import { Pipe } from "./pipe.ts";
import { Reader, readGuard } from "./reader.ts";
import { REFUSALS } from "./refusals.ts";
import { Sweeper } from "./sweep.ts";
import { SweptListeners } from "./swept-listeners.ts";

export interface RedisPresenceOptions {
  /** How Redis is reached. Handed over: closed with the driver. */
  readonly link: RedisLink;
  readonly instance: string;
  readonly region: string;
  /** Before every key; default `tl:`. */
  readonly prefix?: string;
  /** Life of the lease, default 15 s. */
  readonly leaseTtlMs?: number;
  /** How often it is renewed, default 5 s; dead instances are looked for twice as often. */
  readonly renewMs?: number;
  /** How long one pipeline may take, default 1 s. A call waits for two at most: the one in flight and its own. */
  readonly timeoutMs?: number;
  readonly log: Logger;
  readonly stats: Stats;
  /** Published with the lease. */
  readonly load: () => InstanceLoad;
  /** Shared by all parts of presence on a cluster. */
  readonly outages?: Outages;
  /** {@link PipeOptions.maxParts} */
  readonly maxParts?: number;
}

/** Expiry of everything that is not bound to a lease by its own; renewed at half time. */
const BACKSTOP_MS = 24 * 3_600_000;

/** First pause between two attempts to reach Redis again; doubles up to the renewal interval. */
const FIRST_PAUSE_MS = 100;

/** Longest pause while Redis evicts what is written, in renewal intervals. */
const EVICTED_PAUSES = 12;

/**
 * Presence in one keyspace of Redis, over REST or RESP: a single server or primary, Upstash, or one part of a cluster
 * (`clusterPresence`): the scripts touch several keys at once. Connections of the empty user are not found by
 * `connectionsOf`.
 */
export function redisPresence(options: RedisPresenceOptions): RedisPresence {
  return new RedisPresence(options);
}

export class RedisPresence implements Presence {
  readonly driver = "redis";
  readonly #options: Required<Omit<RedisPresenceOptions, "maxParts">>;
  readonly #keys: Keys;
  readonly #memberships = new MembershipTable();
  readonly #pipe: Pipe;
  readonly #lease: InstanceLease;
  readonly #mirror: Mirror;
  readonly #sweeper: Sweeper;
  readonly #cursors: Cursors;
  readonly #reader: Reader;
  readonly #completeness: Completeness;
  readonly #statusListeners = new Set<(state: "ok" | "degraded") => void>();
  readonly #sweptListeners: SweptListeners;
  #phase: "new" | "ok" | "degraded" | "closed" = "new";
  #sinceMs = Date.now();
  #timer: ReturnType<typeof setInterval> | undefined;
  #renewNext = false;
  #recovering: Promise<void> | undefined;
  /** Ends the pause between two attempts to recover. */
  #wake = () => {};
  /** Until when the store wants to be left alone, ms of the monotonic clock. */
  #notBefore = 0;

  constructor(given: RedisPresenceOptions) {
    const defaults = { prefix: "tl:", leaseTtlMs: 15_000, renewMs: 5_000, timeoutMs: 1_000 };
    const outages = given.outages ?? new Outages({ log: given.log, stats: given.stats, parts: 1 });
    const options = { ...defaults, ...given, outages };
    const { link, instance, region, leaseTtlMs, renewMs, timeoutMs, log, stats, load } = options;
    const keys = presenceKeys(options.prefix);
    const lease = new InstanceLease({ keys, instance, region, leaseTtlMs, backstopMs: BACKSTOP_MS, load });
    const completeness = new Completeness(leaseTtlMs);
    const pipe = new Pipe({
      ...{ link, keys, timeoutMs, stats, maxParts: options.maxParts },
      backstopMs: BACKSTOP_MS,
      writer: () => lease,
      guard: readGuard({ keys, lease, completeness }, (reason) => this.#degrade(reason, false)),
      onFailing: ({ message, detail, pauseMs }) => {
        this.#notBefore = Math.max(this.#notBefore, performance.now() + pauseMs);
        const cause = REFUSALS.get(detail);
        this.#degrade(cause === undefined ? message : `${message}: ${cause}`, true);
      },
    });
    this.#options = options;
    this.#keys = keys;
    this.#pipe = pipe;
    this.#lease = lease;
    this.#mirror = new Mirror({
      ...{ memberships: this.#memberships, pipe, keys, lease, stats },
      onLost: (reason) => this.#degrade(reason, false),
    });
    this.#sweptListeners = new SweptListeners(renewMs / 2);
    this.#sweeper = new Sweeper({
      ...{ pipe, keys, leaseTtlMs, renewMs, log, stats },
      tell: (swept) => this.#sweptListeners.tell(swept),
    });
    this.#cursors = new Cursors(pipe, keys);
    this.#completeness = completeness;
    this.#reader = new Reader({ pipe, keys, report: { log, stats } });
  }

  async start(): Promise<void> {
    if (this.#phase !== "new") throw new Error("presence was started before");
    this.#timer = setInterval(() => this.#tick(), this.#options.renewMs / 2);
    try {
      const [reply] = await this.#pipe.send([this.#lease.take()]);
      const { witness } = this.#taken(reply);
      this.#completeness.begin(witness);
      if (this.#phase === "new") this.#become("ok");
      void this.#sweeper.round();
    } catch (error) {
      this.#degrade((error as LinkError).message, true);
    }
  }

  async close(): Promise<void> {
    if (this.#phase === "closed") return;
    const writable = this.#phase === "ok";
    this.#phase = "closed";
    clearInterval(this.#timer);
    this.#wake();
    this.#mirror.pause();
    await Promise.all([this.#recovering, this.#sweeper.close(), this.#pipe.idle()]);
    if (writable) {
      try {
        await this.#mirror.removeAll();
        await this.#pipe.send([this.#lease.giveBack(true)]);
      } catch (error) {
        this.#options.log.warn("presence could not be cleared: other instances will sweep it", { error });
      }
    }
    this.#options.link.close();
  }

  status(): { readonly state: "ok" | "degraded"; readonly sinceMs: number } {
    return { state: this.#phase === "ok" ? "ok" : "degraded", sinceMs: this.#sinceMs };
  }

  onStatus(listener: (state: "ok" | "degraded") => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  onSwept(listener: (swept: Swept) => void | Promise<void>): () => void {
    return this.#sweptListeners.add(listener);
  }

  /** Whether this instance holds anything of a connection here. */
  holds(client: string): boolean {
    return this.#memberships.get(client) !== undefined;
  }

  async connected(connection: ConnectionRecord): Promise<void> {
    const { client, user } = connection;
    this.#memberships.connect(client, connection);
    if (this.#phase === "ok") await this.#mirror.hold(client, true, []);
    else this.#mirror.doubt(client, user, []);
  }

  async claim(connection: ConnectionRecord, terms: ClaimTerms): Promise<Claim> {
    const { client, user } = connection;
    this.#memberships.connect(client, connection);
    const answer = this.#phase === "ok" ? await this.#mirror.claim(connection, terms) : undefined;
    let claim: Claim;
    if (answer !== undefined) {
      const { admitted, others } = readClaim(answer);
      claim = { admitted, others: await this.#reader.named(user, others) };
    } else claim = this.#memberships.claim(client, connection, terms);
    if (!claim.admitted) this.#memberships.disconnect(client);
    if (this.#phase !== "ok") this.#mirror.doubt(client, user, []);
    return claim;
  }

  async disconnected(client: string): Promise<void> {
    await this.#remove(client);
  }

  /** Removes a connection of this instance with its memberships. */
  async #remove(client: string): Promise<readonly Forgotten[]> {
    if (!this.#memberships.get(client)) return [];
    const { record, left } = this.#memberships.disconnect(client);
    const user = record?.user ?? "";
    const channels = left.map(({ channel }) => channel);
    if (this.#phase === "ok") {
      const answer = await this.#mirror.release(client, user, channels, true);
      if (answer !== undefined) return forgotten(client, channels, answer);
    } else this.#mirror.doubt(client, user, channels);
    return left.map(({ info, ...membership }) => ({ ...membership, user: info.user, client }));
  }

  async join(channel: string, info: ClientInfo, mostUsers?: number): Promise<JoinOutcome> {
    const { client } = info;
    const local = this.#memberships.join(client, channel, info, mostUsers);
    if (local.refused) return local;
    if (this.#phase === "ok") {
      const digits = await this.#mirror.hold(client, false, [channel], mostUsers);
      const outcome = digits === undefined ? local : joinOutcome(digits);
      if (outcome.refused) this.#memberships.leave(client, channel);
      return outcome;
    } else this.#mirror.doubt(client, info.user, [channel]);
    return local;
  }

  async leave(channel: string, client: string): Promise<LeaveOutcome> {
    const info = this.#memberships.info(client, channel);
    const local = this.#memberships.leave(client, channel);
    if (!info) return local;
    if (this.#phase === "ok") {
      const digits = await this.#mirror.release(client, info.user, [channel], false);
      if (digits !== undefined) return leaveOutcome(digits);
    } else this.#mirror.doubt(client, info.user, [channel]);
    return local;
  }

  async members(channel: string, limit: number): Promise<Members> {
    const members = this.#phase === "ok" ? await this.#reader.members(channel, limit) : undefined;
    if (members) return { members, partial: this.#completeness.partial };
    return { members: this.#memberships.members(channel, limit), partial: true };
  }

  async stats(channel: string): Promise<PresenceStats> {
    const counts = this.#phase === "ok" ? await this.#reader.stats(channel) : undefined;
    if (counts) return { ...counts, partial: this.#completeness.partial };
    return { ...this.#memberships.stats(channel), partial: true };
  }

  async connectionsOf(user: string): Promise<Connections> {
    const found = this.#phase === "ok" && user !== "" ? await this.#reader.connectionsOf(user) : undefined;
    if (found) return { connections: found, partial: this.#completeness.partial };
    return {
      connections: this.#memberships.connectionsOf(user),
      partial: this.#phase !== "ok" || user !== "",
    };
  }

  async forget(connections: readonly ConnectionRecord[]): Promise<readonly Forgotten[]> {
    const own = connections.filter(({ instance }) => instance === this.#lease.instance);
    const others = connections.filter(({ instance }) => instance !== this.#lease.instance);
    const ended = await Promise.all([
      ...own.map(({ client }) => this.#remove(client)),
      this.#phase === "ok" ? forgetOthers(this.#reader, this.#pipe, this.#keys, others) : [],
    ]);
    return ended.flat();
  }

  loadCursor(user: string, device: string): Promise<Cursor | undefined> {
    return this.#cursors.load(user, device, this.#phase === "ok");
  }

  saveCursor(user: string, device: string, cursor: Cursor, ttlMs: number): void {
    this.#cursors.save(user, device, cursor, ttlMs, this.#phase === "ok");
  }

  async instances(): Promise<Instances> {
    const found = this.#phase === "ok" ? await this.#reader.instances() : undefined;
    if (found) return { instances: found, partial: this.#completeness.partial };
    const { instance, region, load } = this.#options;
    return { instances: [{ instance, region, ...load() }], partial: true };
  }

  #tick(): void {
    if (this.#phase !== "ok") return;
    this.#renewNext = !this.#renewNext;
    if (this.#renewNext) void this.#renew();
    void this.#sweeper.round();
  }

  async #renew(): Promise<void> {
    const [reply] = (await this.#pipe.ask([this.#lease.renew()])) ?? [];
    if (this.#phase !== "ok") return;
    const lost = reply === undefined ? undefined : this.#completeness.lossIn(reply);
    if (lost !== undefined) return this.#degrade(lost, false);
    this.#mirror.settleDoubts();
    this.#cursors.settle();
    this.#mirror.refresh(Math.ceil((this.#memberships.size * this.#options.renewMs) / (BACKSTOP_MS / 2)));
  }

  /** The lease is taken, as Redis answers. */
  #taken(reply: Reply | undefined): LeaseAnswer {
    this.#lease.taken();
    const answer = leaseAnswer(reply);
    this.#options.outages.policy(answer.policy);
    return answer;
  }

  #degrade(reason: string, unreachable: boolean): void {
    if (this.#phase !== "ok" && this.#phase !== "new") return;
    this.#options.outages.begun(reason);
    this.#become("degraded");
    this.#mirror.pause();
    this.#pipe.drop();
    if (unreachable) this.#options.link.reset();
    this.#recovering = this.#recover().finally(() => {
      this.#recovering = undefined;
    });
  }

  /** Tries until everything is written again under a new lease, or the driver is closed. */
  async #recover(): Promise<void> {
    const { renewMs, log, outages } = this.#options;
    await this.#pipe.idle();
    let pauseMs = 0;
    let longest = renewMs;
    for (; this.#phase === "degraded"; pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, pauseMs * 2), longest)) {
      const askedMs = (this.#notBefore - performance.now()) * (1 + Math.random() / 10);
      const waitMs = Math.max(askedMs, pauseMs * (0.5 + Math.random() / 2));
      if (waitMs > 0) await this.#pause(waitMs);
      if (this.#phase !== "degraded") return;
      try {
        const [reply] = await this.#pipe.send([this.#lease.take()]);
        const { state, witness } = this.#taken(reply);
        if (state === 2) log.error("another process runs under this instance's name");
        await this.#mirror.writeAll();
        this.#lease.settle();
        const [renewed] = await this.#pipe.send([this.#lease.renew()]);
        this.#completeness.begin(witness);
        // What was lost while it was written is to be written once more.
        if (!this.#completeness.holds(leaseAnswer(renewed).witness)) throw new LinkError("answer", "EVICTED");
      } catch (error) {
        log.debug("presence stays degraded", { error });
        this.#options.link.reset();
        // To write everything into a Redis that goes on evicting makes it evict more.
        longest = (error as LinkError).detail === "EVICTED" ? EVICTED_PAUSES * renewMs : renewMs;
        continue;
      }
      if (this.#phase !== "degraded") return;
      this.#pipe.forgive();
      this.#completeness.recovered();
      this.#become("ok");
      this.#cursors.settle();
      // What left meanwhile is still there under an earlier generation.
      void this.#sweeper.round();
      outages.ended(this.#memberships.size);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #become(phase: "ok" | "degraded"): void {
    this.#phase = phase;
    this.#sinceMs = Date.now();
    for (const listener of this.#statusListeners) {
      try {
        listener(phase);
      } catch (error) {
        this.#options.log.error("a presence status listener failed", { error });
      }
    }
  }
}
