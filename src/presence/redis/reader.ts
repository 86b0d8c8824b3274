import type { Logger } from "../../core/log.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type { Stats } from "../../core/stats.ts";
import type { ConnectionRecord, InstanceRecord } from "../presence.ts";
import { type Completeness, KEYS_LOST } from "./completeness.ts";
import { type InstanceLease, readHolders } from "./instance-lease.ts";
import type { Keys } from "./keys.ts";
import { unpackMembers, unpair } from "./keys.ts";
import { type Reply, textsOf } from "./link.ts";
import { type StoredConnection, storedConnection } from "./operations.ts";
import type { Guard, Pipe, ScriptCall } from "./pipe.ts";
import { GUARD } from "./scripts.ts";

/** Names a connection in Redis. */
export interface ConnectionName {
  readonly instance: string;
  readonly client: string;
}

/** Where bad records are counted and told. */
interface Report {
  readonly log: Logger;
  readonly stats: Stats;
}

/** What guards the reads of an instance: its lease must stand, and Redis must not have lost any key. */
export function readGuard(
  { keys, lease, completeness }: { keys: Keys; lease: InstanceLease; completeness: Completeness },
  onLost: (reason: string) => void,
): Guard {
  return {
    call: (hashes): ScriptCall => ({
      script: GUARD,
      keys: [keys.lease(lease.instance), ...hashes],
      args: [lease.generation],
    }),
    sizes(reply) {
      if (!Array.isArray(reply)) return undefined;
      const [stands, witness, ...sizes] = reply as readonly Reply[];
      if (!sizes.every((size) => Number.isSafeInteger(size) && (size as number) >= 0)) return undefined;
      if (stands === 1 && completeness.holds(String(witness))) return sizes;
      onLost(stands === 1 ? KEYS_LOST : "lease lost");
      return undefined;
    },
  };
}

/**
 * What Redis says of all instances. An answer is `undefined` when Redis does not answer, or when it is known to have
 * lost something.
 */
export class Reader {
  readonly #pipe: Pipe;
  readonly #keys: Keys;
  readonly #report: Report;

  constructor(deps: { pipe: Pipe; keys: Keys; report: Report }) {
    this.#pipe = deps.pipe;
    this.#keys = deps.keys;
    this.#report = deps.report;
  }

  /** Up to `limit` members of a channel. */
  async members(channel: string, limit: number): Promise<ClientInfo[] | undefined> {
    const count = Math.min(Math.max(0, Math.trunc(limit)), 2 ** 31 - 1);
    const command = ["HRANDFIELD", this.#keys.members(channel), count, "WITHVALUES"];
    const [flat] = (await this.#pipe.read([command])) ?? [];
    const texts = textsOf(flat);
    return texts && this.#own(unpackMembers(texts));
  }

  /** Leaves out what no instance wrote, counted and reported. */
  #own(found: readonly (ClientInfo | undefined)[]): ClientInfo[] {
    const members = found.filter((member) => member !== undefined);
    const bad = found.length - members.length;
    const { stats, log } = this.#report;
    if (bad > 0 && stats.presenceBadRecords === 0) log.warn("members that no instance wrote are ignored");
    stats.presenceBadRecords += bad;
    return members;
  }

  async stats(channel: string): Promise<{ clients: number; users: number } | undefined> {
    const counts = await this.#pipe.read([], [this.#keys.members(channel), this.#keys.users(channel)]);
    return counts && { clients: Number(counts[0]), users: Number(counts[1]) };
  }

  async connectionsOf(user: string): Promise<ConnectionRecord[] | undefined> {
    const [members] = (await this.#pipe.read([["SMEMBERS", this.#keys.user(user)]])) ?? [];
    const clients = textsOf(members)?.map((member) => unpair(member)[1]);
    const stored = clients && (await this.stored(clients));
    return stored?.flatMap((found) => (found?.record?.user === user ? [found.record] : []));
  }

  /** The records of a user's connections that are known by name. */
  async named(user: string, names: readonly ConnectionName[]): Promise<ConnectionRecord[]> {
    const stored = await this.stored(names.map(({ client }) => client));
    return names.map(({ instance, client }, index) => {
      const record = stored?.[index]?.record;
      // One without a record is dead, or Redis has lost it: it is told all the same, for somebody to look.
      return record ?? { instance, client, user, device: "", region: "", ip: "", sinceMs: 0 };
    });
  }

  /** What is stored of connections, in their order. */
  async stored(clients: readonly string[]): Promise<(StoredConnection | undefined)[] | undefined> {
    if (clients.length === 0) return [];
    const replies = await this.#pipe.read(
      clients.map((client) => ["HGETALL", this.#keys.connection(client)]),
    );
    return replies?.map((flat, index) => storedConnection(clients[index]!, textsOf(flat) ?? []));
  }

  /** Every instance with a lease. */
  async instances(): Promise<InstanceRecord[] | undefined> {
    const [names] = (await this.#pipe.read([["SMEMBERS", this.#keys.holders]])) ?? [];
    const texts = textsOf(names);
    if (texts === undefined) return undefined;
    const holders = await readHolders((calls) => this.#pipe.read(calls), this.#keys, texts);
    const live = holders?.filter(({ state }) => state === "live");
    return live && [...new Map(live.map(({ instance, record }) => [instance, record])).values()];
  }
}
