import type { Logger } from "../../core/log.ts";
import type { ClientInfo } from "../../core/publication.ts";
import type { Stats } from "../../core/stats.ts";
import type { ConnectionRecord, InstanceRecord } from "../presence.ts";
import { readHolders } from "./instance-lease.ts";
import type { Keys } from "./keys.ts";
import { unpackMembers, unpair } from "./keys.ts";
import { type StoredConnection, storedConnection } from "./operations.ts";
import type { Pipe } from "./pipe.ts";

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

/** What Redis says of all instances. Every answer is `undefined` when Redis does not answer. */
export class Reader {
  readonly #pipe: Pipe;
  readonly #keys: Keys;
  readonly #report: Report;

  constructor(pipe: Pipe, keys: Keys, report: Report) {
    this.#pipe = pipe;
    this.#keys = keys;
    this.#report = report;
  }

  /** Up to `limit` members of a channel. */
  async members(channel: string, limit: number): Promise<ClientInfo[] | undefined> {
    const count = Math.min(Math.max(0, Math.trunc(limit)), 2 ** 31 - 1);
    const [flat] =
      (await this.#pipe.ask([["HRANDFIELD", this.#keys.members(channel), count, "WITHVALUES"]])) ?? [];
    if (!Array.isArray(flat)) return undefined;
    return this.#own(unpackMembers(flat as string[]));
  }

  /** Leaves out what no instance wrote, counted and reported. */
  #own(found: readonly (ClientInfo | undefined)[]): ClientInfo[] {
    const members = found.filter((member) => member !== undefined);
    const bad = found.length - members.length;
    const { stats, log } = this.#report;
    if (bad > 0 && stats.presenceBadRecords === 0) log.warn("members that no instance wrote are left out");
    stats.presenceBadRecords += bad;
    return members;
  }

  async stats(channel: string): Promise<{ clients: number; users: number } | undefined> {
    const counts = await this.#pipe.ask([
      ["HLEN", this.#keys.members(channel)],
      ["HLEN", this.#keys.users(channel)],
    ]);
    return counts && { clients: Number(counts[0]), users: Number(counts[1]) };
  }

  async connectionsOf(user: string): Promise<ConnectionRecord[] | undefined> {
    const [members] = (await this.#pipe.ask([["SMEMBERS", this.#keys.user(user)]])) ?? [];
    if (!Array.isArray(members)) return undefined;
    const stored = await this.stored(members.map((member) => unpair(String(member))[1]));
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
    const replies = await this.#pipe.ask(clients.map((client) => ["HGETALL", this.#keys.connection(client)]));
    return replies?.map((flat, index) => storedConnection(clients[index]!, flat as string[]));
  }

  /** Every instance with a lease. */
  async instances(): Promise<InstanceRecord[] | undefined> {
    const [names] = (await this.#pipe.ask([["SMEMBERS", this.#keys.holders]])) ?? [];
    if (!Array.isArray(names)) return undefined;
    const holders = await readHolders(this.#pipe, this.#keys, names as string[]);
    const live = holders?.filter(({ state }) => state === "live");
    return live && [...new Map(live.map(({ instance, record }) => [instance, record])).values()];
  }
}
