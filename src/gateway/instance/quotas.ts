import { CommandError, Errors } from "../../core/errors.ts";
import { KeyedRates } from "../../core/keyed-rates.ts";
import { rateOf } from "../../core/limits.ts";
import { Stats } from "../../core/stats.ts";
import type { Session } from "../session/session.ts";

/** What one user may do on this instance, over all connections and transports; 0: no limit. */
export interface QuotaOptions {
  readonly commandsPerUserPerSecond: number;
  /** Of one connection; where that is 0, a user has no limit either. */
  readonly commandsPerSecond: number;
  readonly publishesPerUserPerSecond: number;
  readonly publishBytesPerUserPerSecond: number;
  /** Channels made live that were not. */
  readonly newChannelsPerUserPerMinute: number;
  /** RPCs and callouts under way. */
  readonly callsPerUser: number;
  /** Channels of the instance that are live, whoever follows them. */
  readonly liveChannels: number;
  /** What is too much is counted, and let through. */
  readonly dryRun: boolean;
}

/** Somebody anonymous is counted by address, which offices share: it has so many times what a user has. */
const ADDRESS_FACTOR = 10;

/** Why something is too much: the label `reason` of `trunkline_rejected_total`. */
type Reason =
  | "user_commands"
  | "user_publishes"
  | "user_bytes"
  | "user_channels"
  | "user_calls"
  | "live_channels";

type Who = Pick<Session, "user" | "handshake">;

/** A rate for each user, and a higher one for each address of anonymous clients. */
class UserRates {
  readonly #users: KeyedRates | undefined;
  readonly #addresses: KeyedRates | undefined;

  constructor(perSecond: number, burst = perSecond * 2) {
    if (rateOf(perSecond) === undefined) return;
    this.#users = new KeyedRates({ perSecond, burst });
    this.#addresses = new KeyedRates({
      perSecond: perSecond * ADDRESS_FACTOR,
      burst: burst * ADDRESS_FACTOR,
    });
  }

  take({ user, handshake }: Who, cost = 1): boolean {
    if (!this.#users || !this.#addresses) return true;
    return user === "" ? this.#addresses.take(handshake.admissionKey, cost) : this.#users.take(user, cost);
  }
}

/**
 * Quotas of users. Each instance counts for itself: with connections to several of them a user has as many times the
 * quota, at most `limits.connectionsPerUser` times.
 */
export class Quotas {
  readonly #options: QuotaOptions;
  readonly #stats: Stats;
  readonly #commands: UserRates;
  readonly #publishes: UserRates;
  readonly #bytes: UserRates;
  readonly #channels: UserRates;
  /** Calls under way, by user or address. */
  readonly #calls = new Map<string, number>();

  constructor(options: QuotaOptions, stats: Stats) {
    this.#options = options;
    this.#stats = stats;
    const { commandsPerSecond, commandsPerUserPerSecond } = options;
    this.#commands = new UserRates(commandsPerSecond > 0 ? commandsPerUserPerSecond : 0);
    this.#publishes = new UserRates(options.publishesPerUserPerSecond);
    this.#bytes = new UserRates(options.publishBytesPerUserPerSecond);
    this.#channels = new UserRates(
      options.newChannelsPerUserPerMinute / 60,
      options.newChannelsPerUserPerMinute,
    );
  }

  /** Users and addresses with calls under way. */
  get callers(): number {
    return this.#calls.size;
  }

  /** One command. @throws CommandError tooManyRequests */
  command(who: Who): void {
    if (!this.#commands.take(who)) this.#tooMuch("user_commands");
  }

  /** One message of so many bytes. @throws CommandError tooManyRequests */
  publish(who: Who, bytes: number): void {
    if (!this.#publishes.take(who)) this.#tooMuch("user_publishes");
    if (!this.#bytes.take(who, bytes)) this.#tooMuch("user_bytes");
  }

  /** A channel becomes live. @param live how many are @throws CommandError tooManyRequests */
  newChannel(who: Who, live: number): void {
    const { liveChannels } = this.#options;
    if (liveChannels > 0 && live >= liveChannels) this.#tooMuch("live_channels");
    if (!this.#channels.take(who)) this.#tooMuch("user_channels");
  }

  /** Asks a service. @throws CommandError tooManyRequests; whatever `ask` throws */
  async call<T>({ user, handshake }: Who, ask: () => Promise<T>): Promise<T> {
    const { callsPerUser } = this.#options;
    const key = user === "" ? `address ${handshake.admissionKey}` : `user ${user}`;
    const most = user === "" ? callsPerUser * ADDRESS_FACTOR : callsPerUser;
    const underWay = this.#calls.get(key) ?? 0;
    if (callsPerUser > 0 && underWay >= most) this.#tooMuch("user_calls");
    this.#calls.set(key, underWay + 1);
    try {
      return await ask();
    } finally {
      const left = this.#calls.get(key)! - 1;
      if (left > 0) this.#calls.set(key, left);
      else this.#calls.delete(key);
    }
  }

  #tooMuch(reason: Reason): void {
    const { dryRun } = this.#options;
    Stats.bump(this.#stats.rejected, dryRun ? `dry_run_${reason}` : reason);
    if (!dryRun) throw new CommandError(Errors.tooManyRequests, reason);
  }
}
