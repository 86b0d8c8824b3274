import type { Stats } from "../../core/stats.ts";
import type { Holding, MembershipTable } from "../membership-table.ts";
import type { ClaimTerms, ConnectionRecord } from "../presence.ts";
import type { InstanceLease } from "./instance-lease.ts";
import type { Keys } from "./keys.ts";
import { LinkError } from "./link.ts";
import type { Operation } from "./operations.ts";
import { claimOperation, holdOperation, releaseOperation } from "./operations.ts";
import type { Pipe } from "./pipe.ts";

/** Connections written in one step when everything is written again. */
const STEP = 500;

/** Connections whose state in Redis is in doubt, before everything is written again instead. */
const MAX_DOUBTS = 10_000;

export interface MirrorOptions {
  readonly memberships: MembershipTable;
  readonly pipe: Pipe;
  readonly keys: Keys;
  readonly lease: InstanceLease;
  readonly stats: Stats;
  /** The lease is lost, or too much is in doubt: everything has to be written again. */
  readonly onLost: (reason: string) => void;
}

/** What may differ between Redis and the membership table about one connection. */
interface Doubt {
  readonly user: string;
  readonly channels: Set<string>;
}

/**
 * Keeps what Redis says of this instance equal to its membership table. A write that failed is not repeated: it may have run,
 * may run late, and may be out of date. What it was about is noted, and written anew from the table later on.
 */
export class Mirror {
  readonly #options: MirrorOptions;
  readonly #doubts = new Map<string, Doubt>();
  #noting = true;
  #tour: MapIterator<[string, Holding]> | undefined;

  constructor(options: MirrorOptions) {
    this.#options = options;
  }

  /**
   * Writes a connection's record (`record`) and memberships that are in the table. The outcome's digits, if any.
   * @param mostUsers of a channel, beyond which a new one is refused; 0: no limit
   */
  hold(
    client: string,
    record: boolean,
    channels: readonly string[],
    mostUsers = 0,
  ): Promise<string | undefined> {
    const operation = this.#hold(client, record, channels, mostUsers);
    const user = this.#options.memberships.get(client)?.record?.user ?? "";
    return this.#write(client, user, channels, operation);
  }

  /** Writes a connection's record unless its user has as many connections as may be. The answer, if any. */
  claim(record: ConnectionRecord, terms: ClaimTerms): Promise<string | undefined> {
    const { keys, lease } = this.#options;
    return this.#write(record.client, record.user, [], claimOperation(keys, lease.instance, record, terms));
  }

  /** Removes memberships, or the `whole` connection with them, that are no longer in the table. */
  release(
    client: string,
    user: string,
    channels: readonly string[],
    whole: boolean,
  ): Promise<string | undefined> {
    return this.#write(client, user, channels, this.#release(client, user, channels, whole));
  }

  /** Notes that Redis may be wrong about these memberships, and the connection itself. */
  doubt(client: string, user: string, channels: readonly string[]): void {
    if (!this.#noting) return;
    let doubt = this.#doubts.get(client);
    if (!doubt) {
      doubt = { user, channels: new Set() };
      this.#doubts.set(client, doubt);
      if (this.#doubts.size > MAX_DOUBTS) this.#options.onLost("too many failed writes");
    }
    for (const channel of channels) doubt.channels.add(channel);
  }

  /** Forgets all doubts and notes no more until {@link writeAll}, which starts from the table. */
  pause(): void {
    this.#noting = false;
    this.#doubts.clear();
  }

  /** Writes what is in doubt. */
  settleDoubts(): void {
    const doubts = [...this.#doubts];
    this.#doubts.clear();
    for (const [client, { user, channels }] of doubts) {
      for (const operation of this.#truth(client, user, channels)) {
        void this.#write(client, user, [...channels], operation);
      }
    }
  }

  /**
   * Writes everything, past the queue: nothing else may write meanwhile, and what changes must be noted by
   * {@link doubt}. Renews the lease with every step; ends when paused. @throws LinkError
   */
  async writeAll(): Promise<void> {
    this.#doubts.clear();
    this.#noting = true;
    this.#tour = undefined;
    let step: Operation[] = [];
    for (const [client, holding] of this.#options.memberships.entries()) {
      step.push(this.#hold(client, true, holding.channels));
      if (step.length < STEP) continue;
      await this.#apply(step);
      step = this.#doubtful();
    }
    while (step.length > 0) {
      await this.#apply(step);
      step = this.#doubtful();
    }
  }

  /** Writes the next `count` connections again, round and round, so that no key comes to its backstop. */
  refresh(count: number): void {
    for (let left = count; left > 0; left--) {
      this.#tour ??= this.#options.memberships.entries();
      const { done, value } = this.#tour.next();
      if (done) {
        this.#tour = undefined;
        return;
      }
      void this.hold(value[0], true, value[1].channels);
    }
  }

  /** Removes everything of this instance. @throws LinkError */
  async removeAll(): Promise<void> {
    const { pipe, lease } = this.#options;
    let step: Operation[] = [];
    for (const [client, { record, channels }] of this.#options.memberships.entries()) {
      step.push(this.#release(client, record?.user ?? "", channels, true));
      if (step.length < STEP) continue;
      await pipe.apply(step, lease.renew());
      step = [];
    }
    await pipe.apply(step, lease.renew());
  }

  async #write(
    client: string,
    user: string,
    channels: readonly string[],
    operation: Operation,
  ): Promise<string | undefined> {
    const digits = await this.#options.pipe.write(operation);
    if (digits === undefined || digits === "FENCED") {
      this.doubt(client, user, channels);
      if (digits === "FENCED") this.#options.onLost("lease lost");
      return undefined;
    }
    if (digits !== "ERROR") return digits;
    // Something else lives under a key of ours: writing again would fail again.
    this.#options.stats.presenceErrors++;
    return undefined;
  }

  async #apply(operations: readonly Operation[]): Promise<void> {
    const { pipe, lease } = this.#options;
    const results = await pipe.apply(operations, lease.renew());
    if (results.includes("FENCED")) throw new LinkError("answer", "FENCED");
    if (!this.#noting) throw new LinkError("refused", "closed");
  }

  #doubtful(): Operation[] {
    const operations = [...this.#doubts].flatMap(([client, { user, channels }]) =>
      this.#truth(client, user, channels),
    );
    this.#doubts.clear();
    return operations;
  }

  /** The operations that make Redis agree with the table. */
  #truth(client: string, user: string, channels: ReadonlySet<string>): Operation[] {
    const { memberships } = this.#options;
    if (!memberships.get(client)) return [this.#release(client, user, [...channels], true)];
    const [present, gone] = [[] as string[], [] as string[]];
    for (const channel of channels) (memberships.info(client, channel) ? present : gone).push(channel);
    const held = this.#hold(client, true, present);
    return gone.length === 0 ? [held] : [held, this.#release(client, user, gone, false)];
  }

  #hold(client: string, record: boolean, channels: readonly string[], mostUsers = 0): Operation {
    const { keys, lease, memberships } = this.#options;
    const joins = channels.flatMap((channel) => {
      const info = memberships.info(client, channel);
      return info ? [{ channel, info, mostUsers }] : [];
    });
    return holdOperation(
      keys,
      lease.instance,
      client,
      record ? memberships.get(client)?.record : undefined,
      joins,
    );
  }

  #release(client: string, user: string, channels: readonly string[], whole: boolean): Operation {
    const { keys, lease } = this.#options;
    const { instance, holder, generation } = lease;
    return releaseOperation(keys, { instance, client, user, holder, generation, channels, whole });
  }
}
