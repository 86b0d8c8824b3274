import ipaddr from "ipaddr.js";
import { KeyedRates } from "../../core/keyed-rates.ts";
import type { Rate } from "../../core/limits.ts";

/** Why a connection is not let in: too many at once from its address, too many in all, or too fast. */
export type Refusal = "ip_cap" | "instance_cap" | "ip_rate";

export interface AdmissionOptions {
  /** Connections of this instance; see {@link connectionCap}. */
  readonly connections: number;
  /** Connections of one address. 0: no limit. */
  readonly connectionsPerIp: number;
  /** New connections of one address; `undefined`: no limit. */
  readonly ratePerIp: Rate | undefined;
  /** Most addresses whose rate is remembered. Default 100,000; the longest idle are forgotten first. */
  readonly rememberedAddresses?: number;
  /** Monotonic clock, ms. */
  readonly now?: () => number;
}

/**
 * Counts connections by address and decides which new ones come in. Whoever was admitted must be given back once,
 * with {@link release} and the same key; nothing is allocated for it beyond its address.
 */
export class Admission {
  #options: AdmissionOptions;
  /** Open connections by key. Bounded by the cap of the instance. */
  readonly #open = new Map<string, number>();
  /** Rates of recently seen keys. */
  #rates: KeyedRates | undefined;
  #connections = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#rates = ratesOf(options);
  }

  /** From now on these limits hold; who is in stays in. With another rate every address begins with a full bucket. */
  reload(options: AdmissionOptions): void {
    const { ratePerIp: rate } = options;
    const { ratePerIp: old } = this.#options;
    this.#options = options;
    if (rate?.perSecond !== old?.perSecond || rate?.burst !== old?.burst) this.#rates = ratesOf(options);
  }

  /** Connections admitted and not given back. */
  get connections(): number {
    return this.#connections;
  }

  /** Addresses something is remembered about. */
  get addresses(): number {
    return Math.max(this.#open.size, this.#rates?.size ?? 0);
  }

  /** Lets one connection in and counts it, or says why not. @param key from {@link addressKey} */
  admit(key: string): "ok" | Refusal {
    const { connections, connectionsPerIp } = this.#options;
    // The rate counts attempts, so that hammering at a cap is slowed too.
    if (this.#rates?.take(key) === false) return "ip_rate";
    if (this.#connections >= connections) return "instance_cap";
    const open = this.#open.get(key) ?? 0;
    if (connectionsPerIp > 0 && open >= connectionsPerIp) return "ip_cap";
    this.#open.set(key, open + 1);
    this.#connections++;
    return "ok";
  }

  /** Gives one admitted connection back. */
  release(key: string): void {
    const open = this.#open.get(key);
    if (open === undefined) return;
    if (open > 1) this.#open.set(key, open - 1);
    else this.#open.delete(key);
    this.#connections--;
  }

  /** When the rate of this key allows the next connection, ms from its last attempt. */
  retryAfterMs(key: string): number {
    return this.#rates?.waitMs(key) ?? 0;
  }
}

function ratesOf(options: AdmissionOptions): KeyedRates | undefined {
  const { ratePerIp, rememberedAddresses: most = 100_000, now = () => performance.now() } = options;
  return ratePerIp && new KeyedRates(ratePerIp, { most, now });
}

/**
 * What an address is counted under: an IPv4 address itself, of an IPv6 address its /64, because that is what one
 * customer gets. Text that is no address is its own key.
 */
export function addressKey(ip: string): string {
  if (!ip.includes(":") || !ipaddr.isValid(ip)) return ip;
  const address = ipaddr.process(ip);
  if (!(address instanceof ipaddr.IPv6)) return address.toString();
  return `${address.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(":")}::/64`;
}

/** Descriptors kept back for the broker, presence, logs and /proc: at the limit itself the runtime breaks. */
const MIN_RESERVE = 256;
const RESERVE_SHARE = 0.05;
/** What POSIX systems commonly start with, when the limit cannot be read. */
const USUAL_DESCRIPTORS = 1024;

/** Descriptors that are not for connections of clients, of a limit of so many: for the broker, presence, plain HTTP, files. */
export function descriptorReserve(limit: number): number {
  return Math.max(MIN_RESERVE, Number.isFinite(limit) ? Math.ceil(limit * RESERVE_SHARE) : MIN_RESERVE);
}

/**
 * Connections an instance may hold: what is configured (0: nothing), and never more than the descriptor limit less a
 * reserve of 5 %, at least 256.
 * @param each descriptors that a connection takes
 */
export function connectionCap(configured: number, descriptors: number | undefined, each = 1): number {
  const limit = descriptors ?? USUAL_DESCRIPTORS;
  const room = Math.floor((limit - descriptorReserve(limit)) / each);
  const possible = Math.max(1, Number.isFinite(limit) ? room : Number.MAX_SAFE_INTEGER);
  return configured > 0 ? Math.min(configured, possible) : possible;
}
