import type { ClientInfo } from "../core/publication.ts";
import type { Claim, ClaimTerms, ConnectionRecord, JoinOutcome, LeaveOutcome } from "./presence.ts";

/** What one connection holds. */
export interface Holding {
  record: ConnectionRecord | undefined;
  /** In no order. An array takes a fifth of the memory of a set, and a connection is in few channels. */
  channels: string[];
  /** The next connection of the same user: a chain costs no object per user. */
  next: Holding | undefined;
}

/** A membership that ended. */
export type Left = LeaveOutcome & { readonly channel: string; readonly info: ClientInfo };

interface Room {
  /** By connection key. */
  readonly members: Map<string, ClientInfo>;
  /** Members of each user. */
  readonly users: Map<string, number>;
}

/** The channels of those that are in none, which is most idle connections; never added to. */
const NONE: string[] = [];

const FULL: JoinOutcome = Object.freeze({ refused: true, firstOfUser: false, firstOfChannel: false });
const NOT_THERE: LeaveOutcome = Object.freeze({ lastOfUser: false, lastOfChannel: false });

/**
 * Who is where, in memory: what the memory driver is made of, and the Redis driver's truth about its own instance.
 * Connections go by a key of the owner's choice. Joins, leaves and counts are O(1).
 *
 * The empty user is everybody without an identity: it counts as one user in a channel, but its connections are not
 * indexed by user.
 */
export class MembershipTable {
  readonly #holdings = new Map<string, Holding>();
  readonly #rooms = new Map<string, Room>();
  /** First of each user's chain of connections. Made when first asked for: beside Redis that is hardly ever. */
  #users: Map<string, Holding> | undefined;

  get size(): number {
    return this.#holdings.size;
  }

  get(key: string): Holding | undefined {
    return this.#holdings.get(key);
  }

  /** All connections. The iterator stays good while connections come and go. */
  entries(): MapIterator<[string, Holding]> {
    return this.#holdings.entries();
  }

  connect(key: string, record: ConnectionRecord): void {
    const holding = this.#hold(key);
    this.#unchain(holding);
    holding.record = record;
    if (this.#users) chain(this.#users, holding);
  }

  /** Removes a connection with every membership it has left. */
  disconnect(key: string): { record: ConnectionRecord | undefined; left: readonly Left[] } {
    const holding = this.#holdings.get(key);
    if (!holding) return { record: undefined, left: [] };
    const left: Left[] = [];
    const { channels } = holding;
    holding.channels = NONE;
    for (const channel of channels) {
      const info = this.info(key, channel);
      if (info) left.push({ channel, info, ...this.leave(key, channel) });
    }
    this.#unchain(holding);
    this.#holdings.delete(key);
    return { record: holding.record, left };
  }

  /** @param mostUsers beyond which a user that is not in the channel is refused; 0: no limit */
  join(key: string, channel: string, info: ClientInfo, mostUsers = 0): JoinOutcome {
    if (mostUsers > 0 && this.#isFull(channel, info.user, mostUsers)) return FULL;
    const holding = this.#hold(key);
    const room = this.#room(channel);
    const known = room.members.has(key);
    room.members.set(key, info);
    if (known) return { firstOfUser: false, firstOfChannel: false };
    if (holding.channels === NONE) holding.channels = [channel];
    else holding.channels.push(channel);
    const count = (room.users.get(info.user) ?? 0) + 1;
    room.users.set(info.user, count);
    return { firstOfUser: count === 1, firstOfChannel: room.members.size === 1 };
  }

  #isFull(channel: string, user: string, mostUsers: number): boolean {
    const users = this.#rooms.get(channel)?.users;
    return users !== undefined && users.size >= mostUsers && !users.has(user);
  }

  leave(key: string, channel: string): LeaveOutcome {
    const room = this.#rooms.get(channel);
    const info = room?.members.get(key);
    if (!room || !info) return NOT_THERE;
    const channels = this.#holdings.get(key)?.channels ?? NONE;
    const at = channels.indexOf(channel);
    if (at >= 0) {
      channels[at] = channels.at(-1)!;
      channels.pop();
    }
    room.members.delete(key);
    const count = (room.users.get(info.user) ?? 1) - 1;
    if (count === 0) room.users.delete(info.user);
    else room.users.set(info.user, count);
    if (room.members.size === 0) this.#rooms.delete(channel);
    return { lastOfUser: count === 0, lastOfChannel: room.members.size === 0 };
  }

  info(key: string, channel: string): ClientInfo | undefined {
    return this.#rooms.get(channel)?.members.get(key);
  }

  members(channel: string, limit: number): ClientInfo[] {
    const found: ClientInfo[] = [];
    for (const info of this.#rooms.get(channel)?.members.values() ?? []) {
      if (found.length >= limit) break;
      found.push(info);
    }
    return found;
  }

  stats(channel: string): { clients: number; users: number } {
    const room = this.#rooms.get(channel);
    return { clients: room?.members.size ?? 0, users: room?.users.size ?? 0 };
  }

  connectionsOf(user: string): ConnectionRecord[] {
    const found: ConnectionRecord[] = [];
    this.#users ??= this.#byUser();
    for (let at = this.#users.get(user); at; at = at.next) if (at.record) found.push(at.record);
    return found;
  }

  /** Records a connection, unless its user has as many as may be. */
  claim(key: string, record: ConnectionRecord, { limit, ignore }: ClaimTerms): Claim {
    const others = this.connectionsOf(record.user).filter(({ client }) => client !== record.client);
    const dead = new Set(ignore.map(({ client }) => client));
    const admitted = limit === 0 || others.filter(({ client }) => !dead.has(client)).length < limit;
    if (admitted) this.connect(key, record);
    return { admitted, others };
  }

  #byUser(): Map<string, Holding> {
    const users = new Map<string, Holding>();
    for (const holding of this.#holdings.values()) chain(users, holding);
    return users;
  }

  #hold(key: string): Holding {
    let holding = this.#holdings.get(key);
    if (!holding) {
      holding = { record: undefined, channels: NONE, next: undefined };
      this.#holdings.set(key, holding);
    }
    return holding;
  }

  #room(channel: string): Room {
    let room = this.#rooms.get(channel);
    if (!room) {
      room = { members: new Map(), users: new Map() };
      this.#rooms.set(channel, room);
    }
    return room;
  }

  /** Takes a connection out of its user's chain. */
  #unchain(holding: Holding): void {
    const user = holding.record?.user;
    const users = this.#users;
    if (!users || user === undefined || user === "") return;
    const first = users.get(user);
    if (first === holding) {
      if (holding.next) users.set(user, holding.next);
      else users.delete(user);
    } else {
      for (let at = first; at; at = at.next) {
        if (at.next === holding) {
          at.next = holding.next;
          break;
        }
      }
    }
    holding.next = undefined;
  }
}

/** Puts a connection in front of its user's chain. */
function chain(users: Map<string, Holding>, holding: Holding): void {
  const user = holding.record?.user;
  if (user === undefined || user === "") return;
  holding.next = users.get(user);
  users.set(user, holding);
}
