import type { Identity } from "../../auth/auth.ts";
import type { Entry } from "../../broker/broker.ts";
import { type CloseCode, Closes, CommandError, ConnectionError, Errors } from "../../core/errors.ts";
import { AddressSet, isNetwork } from "../instance/address-set.ts";
import { type Restriction, restrictionShape, type StandingRestriction } from "./restriction.ts";

/** Keys of entries that are restrictions. */
const PREFIX = "restriction-";

export const entryKey = (id: string) => PREFIX + id;

/** What of an identity is asked about. */
type Asked = Pick<Identity, "user" | "tokenId" | "issuedAt">;

/**
 * The rights that were taken back, as this instance knows them. Bounded by what the broker keeps; what has expired is
 * forgotten. Asking while nothing is restricted costs one comparison.
 */
export class Restrictions {
  readonly #standing = new Map<string, StandingRestriction>();
  readonly #users = new Set<string>();
  readonly #tokens = new Set<string>();
  readonly #channels = new Map<string, Set<string>>();
  /** Tokens issued before this are void, Unix seconds, by user. */
  readonly #issued = new Map<string, number>();
  #issuedByAnybody = 0;
  readonly #addresses = new AddressSet();

  get size(): number {
    return this.#standing.size;
  }

  /** Takes an entry in, or out. @returns the restriction that is new; undefined when there is none to carry out */
  apply({ key, value, expiresAtMs }: Entry): StandingRestriction | "malformed" | undefined {
    if (!key.startsWith(PREFIX)) return undefined;
    const id = key.slice(PREFIX.length);
    this.#remove(id);
    if (value === undefined || expiresAtMs <= Date.now()) return undefined;
    const parsed = restrictionShape.safeParse(value);
    if (!parsed.success || (parsed.data.kind === "address" && !isNetwork(parsed.data.address)))
      return "malformed";
    const standing = { ...parsed.data, id, expireAt: Math.floor(expiresAtMs / 1_000) };
    this.#standing.set(id, standing);
    this.#index(standing);
    return standing;
  }

  list(): StandingRestriction[] {
    return [...this.#standing.values()];
  }

  get(id: string): StandingRestriction | undefined {
    return this.#standing.get(id);
  }

  /** Forgets what has expired. */
  sweep(nowMs = Date.now()): void {
    for (const { id, expireAt } of this.#standing.values()) if (expireAt * 1_000 <= nowMs) this.#remove(id);
  }

  /** How a connection of this identity and address is closed; undefined: it may stay. */
  closes(identity: Asked, ip: string): CloseCode | undefined {
    if (this.#standing.size === 0) return undefined;
    if (this.#users.has(identity.user) || this.#addresses.has(ip)) return Closes.blocked;
    return this.#isRevoked(identity) ? Closes.connectionExpired : undefined;
  }

  /**
   * @throws ConnectionError blocked; CommandError tokenExpired, upon which stock clients ask for a new token
   */
  check(identity: Asked, ip: string): void {
    const close = this.closes(identity, ip);
    if (close === undefined) return;
    if (close === Closes.connectionExpired)
      throw new CommandError(Errors.tokenExpired, "the token is revoked");
    throw new ConnectionError(close);
  }

  blocksAddress(ip: string): boolean {
    return this.#standing.size > 0 && this.#addresses.has(ip);
  }

  /** Whether a user may not be in a channel. */
  denies(user: string, channel: string): boolean {
    return this.#channels.size > 0 && this.#channels.get(user)?.has(channel) === true;
  }

  #isRevoked({ user, tokenId, issuedAt = 0 }: Asked): boolean {
    if (tokenId !== undefined && this.#tokens.has(tokenId)) return true;
    return issuedAt < this.#issuedByAnybody || issuedAt < (this.#issued.get(user) ?? 0);
  }

  #remove(id: string): void {
    const old = this.#standing.get(id);
    if (!old) return;
    this.#standing.delete(id);
    if (old.kind === "address") this.#addresses.delete(old.address);
    else if (old.kind === "user") this.#users.delete(old.user);
    else if (old.kind === "token") this.#tokens.delete(old.token);
    else if (old.kind === "issued" && old.user === undefined) this.#issuedByAnybody = 0;
    else if (old.kind === "issued") this.#issued.delete(old.user!);
    else {
      const channels = this.#channels.get(old.user);
      if (channels?.delete(old.channel) && channels.size === 0) this.#channels.delete(old.user);
    }
  }

  #index(restriction: Restriction): void {
    if (restriction.kind === "address") this.#addresses.add(restriction.address);
    else if (restriction.kind === "user") this.#users.add(restriction.user);
    else if (restriction.kind === "token") this.#tokens.add(restriction.token);
    else if (restriction.kind === "channel") {
      const channels = this.#channels.get(restriction.user) ?? new Set();
      this.#channels.set(restriction.user, channels.add(restriction.channel));
    } else if (restriction.user === undefined) this.#issuedByAnybody = restriction.before;
    else this.#issued.set(restriction.user, restriction.before);
  }
}
