import { CommandError, Errors } from "../../core/errors.ts";
import { KeyedRates } from "../../core/keyed-rates.ts";
import type { QuotaReason } from "../../core/labels.ts";
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
  /** Bytes of frames read. */
  readonly bytesInPerUserPerSecond: number;
  /** Bytes of long answers: pages of history and lists of members. */
  readonly answerBytesPerUserPerSecond: number;
  /** Bytes read from the store for clients that come back, and sent to them. */
  readonly recoveryBytesPerUserPerSecond: number;
  /** RPCs and callouts under way. */
  readonly callsPerUser: number;
  /** Callouts under way about the channels of one namespace, whoever asks. */
  readonly callsPerNamespace: number;
  /** Channels of the instance that are live, whoever follows them. */
  readonly liveChannels: number;
  /** What is too much is counted, and let through. */
  readonly dryRun: boolean;
}

/** Somebody anonymous is counted by address, which offices share: it has so many times what a user has. */
const ADDRESS_FACTOR = 10;

/** Those who wait for the same debt come one after the other, not all in the same moment, ms. */
const LEAST_WAIT_MS = 10;

/** One for each reason: whoever floods is refused thousands of times a second, and a new error has its stack written down. */
const refusals = new Map<QuotaReason, CommandError>();

function refusal(reason: QuotaReason): CommandError {
  const known = refusals.get(reason);
  if (known) return known;
  const made = new CommandError(Errors.tooManyRequests, reason);
  refusals.set(reason, made);
  return made;
}

type Who = Pick<Session, "user" | "handshake">;

/** A rate for each user, and a higher one for each address of anonymous clients. */
class UserRates {
  #perSecond = 0;
  #users: KeyedRates | undefined;
  #addresses: KeyedRates | undefined;

  /** From now on this rate holds; where it is another one, everybody begins with a full bucket. */
  set(perSecond: number, burst = perSecond * 2): void {
    if (perSecond === this.#perSecond) return;
    this.#perSecond = perSecond;
    const limited = rateOf(perSecond) !== undefined;
    const far = { perSecond: perSecond * ADDRESS_FACTOR, burst: burst * ADDRESS_FACTOR };
    this.#users = limited ? new KeyedRates({ perSecond, burst }) : undefined;
    this.#addresses = limited ? new KeyedRates(far) : undefined;
  }

  take({ user, handshake }: Who, cost = 1): boolean {
    if (!this.#users || !this.#addresses) return true;
    return user === "" ? this.#addresses.take(handshake.admissionKey, cost) : this.#users.take(user, cost);
  }

  /** Until what it owes has come back, ms. */
  waitMs({ user, handshake }: Who): number {
    return (user === "" ? this.#addresses?.waitMs(handshake.admissionKey) : this.#users?.waitMs(user)) ?? 0;
  }

  /** See {@link KeyedRates.charge}: what a `take` of 0 is refused for. */
  charge({ user, handshake }: Who, cost: number): void {
    if (user === "") this.#addresses?.charge(handshake.admissionKey, cost);
    else this.#users?.charge(user, cost);
  }
}

/**
 * Quotas of users. Each instance counts for itself: with connections to several of them a user has as many times the
 * quota, at most `limits.connectionsPerUser` times.
 */
export class Quotas {
  readonly #options: QuotaOptions;
  readonly #stats: Stats;
  readonly #commands = new UserRates();
  readonly #publishes = new UserRates();
  readonly #bytes = new UserRates();
  readonly #channels = new UserRates();
  readonly #bytesIn = new UserRates();
  readonly #bytesOut = new UserRates();
  readonly #recovered = new UserRates();
  /** Calls under way, by user, address or namespace. */
  readonly #calls = new Map<string, number>();

  constructor(options: QuotaOptions, stats: Stats) {
    this.#options = options;
    this.#stats = stats;
    this.reloaded();
  }

  /** The options were changed. */
  reloaded(): void {
    const options = this.#options;
    const { commandsPerSecond, commandsPerUserPerSecond, newChannelsPerUserPerMinute: channels } = options;
    this.#commands.set(commandsPerSecond > 0 ? commandsPerUserPerSecond : 0);
    this.#publishes.set(options.publishesPerUserPerSecond);
    this.#bytes.set(options.publishBytesPerUserPerSecond);
    this.#bytesIn.set(options.bytesInPerUserPerSecond);
    this.#bytesOut.set(options.answerBytesPerUserPerSecond);
    this.#recovered.set(options.recoveryBytesPerUserPerSecond);
    this.#channels.set(channels / 60, channels);
  }

  /** Users, addresses and namespaces with calls under way. */
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

  /** A frame of so many bytes came. @returns false when that is more than the user may send */
  frame(who: Who, bytes: number): boolean {
    return this.#bytesIn.take(who, bytes) || this.#counted("user_bytes_in");
  }

  /** A long answer of so many bytes. @throws CommandError tooManyRequests */
  answer(who: Who, bytes: number): void {
    if (!this.#bytesOut.take(who, bytes)) this.#tooMuch("user_bytes_out");
  }

  /** A long answer is to be made. @throws CommandError tooManyRequests, when there were too many bytes of them of late */
  answering(who: Who): void {
    if (!this.#bytesOut.take(who, 0)) this.#tooMuch("user_bytes_out");
  }

  /** It had so many bytes. */
  answered(who: Who, bytes: number): void {
    this.#bytesOut.charge(who, bytes);
  }

  /** A client comes back to what it missed. @throws CommandError tooManyRequests, when it was too much of late */
  recovery(who: Who): void {
    if (!this.#recovered.take(who, 0)) this.#tooMuch("user_recoveries");
  }

  /**
   * As {@link recovery}, for a client that connects: to be refused would cost it what else it connects for, and to be told
   * that it lost something would be untrue. It waits until what its user had is paid for.
   * @throws CommandError tooManyRequests, when that takes longer than `patienceMs`, or it is gone
   */
  async recoveryInTime(who: Who & Pick<Session, "live">, patienceMs: number): Promise<void> {
    const end = performance.now() + patienceMs;
    while (!this.#recovered.take(who, 0)) {
      const ms = Math.max(LEAST_WAIT_MS, this.#recovered.waitMs(who));
      if (this.#options.dryRun || !who.live || performance.now() + ms > end) {
        this.#tooMuch("user_recoveries");
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  }

  /** So many bytes were read for it, or sent to it. */
  recovered(who: Who, bytes: number): void {
    this.#recovered.charge(who, bytes);
  }

  /** A channel becomes live. @param live how many are @throws CommandError tooManyRequests */
  newChannel(who: Who, live: number): void {
    const { liveChannels } = this.#options;
    if (liveChannels > 0 && live >= liveChannels) this.#tooMuch("live_channels");
    if (!this.#channels.take(who)) this.#tooMuch("user_channels");
  }

  /**
   * Asks a service. @param namespace of the channel it is about @throws CommandError tooManyRequests; whatever `ask` throws
   */
  async call<T>({ user, handshake }: Who, namespace: string | undefined, ask: () => Promise<T>): Promise<T> {
    const { callsPerUser, callsPerNamespace } = this.#options;
    const key = user === "" ? `address ${handshake.admissionKey}` : `user ${user}`;
    this.#mayCall("user_calls", key, user === "" ? callsPerUser * ADDRESS_FACTOR : callsPerUser);
    const keys = [key];
    if (namespace !== undefined) {
      this.#mayCall("namespace_calls", `namespace ${namespace}`, callsPerNamespace);
      keys.push(`namespace ${namespace}`);
    }
    for (const one of keys) this.#calls.set(one, (this.#calls.get(one) ?? 0) + 1);
    try {
      return await ask();
    } finally {
      for (const one of keys) this.#ended(one);
    }
  }

  #mayCall(reason: QuotaReason, key: string, most: number): void {
    if (most > 0 && (this.#calls.get(key) ?? 0) >= most) this.#tooMuch(reason);
  }

  #ended(key: string): void {
    const left = this.#calls.get(key)! - 1;
    if (left > 0) this.#calls.set(key, left);
    else this.#calls.delete(key);
  }

  #tooMuch(reason: QuotaReason): void {
    if (!this.#counted(reason)) throw refusal(reason);
  }

  /** Counts what is too much. @returns whether it is let through all the same */
  #counted(reason: QuotaReason): boolean {
    const { dryRun } = this.#options;
    Stats.bump(this.#stats.rejected, dryRun ? `dry_run_${reason}` : reason);
    return dryRun;
  }
}
