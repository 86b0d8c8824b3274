import type { ClientInfo } from "../../core/publication.ts";
import type { ConnectionRecord, InstanceRecord } from "../presence.ts";
import { readHolders } from "./instance-lease.ts";
import type { Keys } from "./keys.ts";
import { unpackMember, unpair } from "./keys.ts";
import { type StoredConnection, storedConnection } from "./operations.ts";
import type { Pipe } from "./pipe.ts";

/** Names a connection in Redis. */
export interface ConnectionName {
  readonly instance: string;
  readonly client: string;
}

/** What Redis says of all instances. Every answer is `undefined` when Redis does not answer. */
export class Reader {
  readonly #pipe: Pipe;
  readonly #keys: Keys;

  constructor(pipe: Pipe, keys: Keys) {
    this.#pipe = pipe;
    this.#keys = keys;
  }

  /** Up to `limit` members of a channel. */
  async members(channel: string, limit: number): Promise<ClientInfo[] | undefined> {
    const count = Math.min(Math.max(0, Math.trunc(limit)), 2 ** 31 - 1);
    const [flat] =
      (await this.#pipe.ask([["HRANDFIELD", this.#keys.members(channel), count, "WITHVALUES"]])) ?? [];
    if (!Array.isArray(flat)) return undefined;
    return readMembers(flat as string[]);
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

/** Reads fields and values of the members hash. */
function readMembers(flat: readonly string[]): ClientInfo[] {
  const members: ClientInfo[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    members.push(unpackMember(unpair(flat[at]!)[1], flat[at + 1]!));
  }
  return members;
}
