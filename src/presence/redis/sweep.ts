import type { Logger } from "../../core/log.ts";
import type { Stats } from "../../core/stats.ts";
import type { ConnectionRecord, Swept } from "../presence.ts";
import type { Holder } from "./instance-lease.ts";
import { readHolders } from "./instance-lease.ts";
import type { Keys } from "./keys.ts";
import { unescapeName, unpackMember } from "./keys.ts";
import { LinkError, type Reply, textsOf } from "./link.ts";
import type { Operation } from "./operations.ts";
import { leaveOutcome, releaseOperation, storedConnection } from "./operations.ts";
import type { Pipe, ScriptCall } from "./pipe.ts";
import { KEEP, WATCH } from "./scripts.ts";

/** Connections removed, or told, in one step: large, for each takes a few round trips to a Redis that may be far. */
const STEP = 1_000;

export interface SweeperOptions {
  readonly pipe: Pipe;
  readonly keys: Keys;
  readonly leaseTtlMs: number;
  readonly renewMs: number;
  readonly tell: (swept: Swept) => Promise<void>;
  readonly log: Logger;
  readonly stats: Stats;
}

/**
 * Finds what dead instances left behind, removes it, and tells the listeners.
 *
 * The lock is there to spare work, not to be safe: a removal is atomic and removes only what the dead generation
 * wrote, so two sweepers at once each remove and report something else. What is removed is noted in the swept hash by
 * the same script, and leaves it when the listeners have taken it: a sweeper that dies anywhere loses nothing.
 *
 * A lease that ran out proves death only if its owner could have renewed it. So somebody has to have watched without
 * a pause (`sweepWatched` expires before any lease could); otherwise, after an outage of Redis for one, instances get
 * a lease's time to come back.
 */
export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #self = crypto.randomUUID();
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** Stops after the current step. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  /** Looks once, if it is this instance's turn, and sweeps. One at a time; never rejects. */
  round(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#running ??= this.#round()
      .catch((error) => {
        this.#options.log.warn("sweep interrupted; it will be resumed", { error });
      })
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  async #round(): Promise<void> {
    const { pipe, keys, renewMs, leaseTtlMs } = this.#options;
    const answer = await pipe.ask([
      {
        script: WATCH,
        keys: [keys.sweepLock, keys.sweepWatched, keys.sweepHoldOff, keys.holders],
        // The lock is over by this instance's next turn, half a renewal from now.
        args: [this.#self, Math.ceil(renewMs * 0.4), leaseTtlMs - renewMs, leaseTtlMs],
      },
    ]);
    if (!answer?.[0]) return;
    const [holdOff, found] = answer[0] as readonly Reply[];
    const names = textsOf(found);
    if (!names) throw new LinkError("answer", "SHAPE");
    const holders = await readHolders((calls) => pipe.ask(calls), keys, names);
    const dead = (holders ?? []).filter(
      ({ state }) => state === "replaced" || (state === "missing" && holdOff === 0),
    );
    if (dead.length === 0) return;
    // First the truth for all, then the reports: those may have to wait for somebody else.
    for (const holder of dead) await this.#remove(holder);
    for (const holder of dead) await this.#report(holder);
    await pipe.send([this.#keep(1)]);
  }

  async #remove(dead: Holder): Promise<void> {
    const { pipe, keys, renewMs } = this.#options;
    while (!this.#closed) {
      const [kept, clients] = await pipe.send([
        this.#keep(renewMs / 2),
        ["SRANDMEMBER", keys.held(dead.holder), STEP],
      ]);
      if (kept === 0) throw new LinkError("answer", "lock lost");
      const names = textsOf(clients)?.map(unescapeName) ?? [];
      if (names.length === 0) return;
      const stored = await pipe.send(names.map((client) => ["HGETALL", keys.connection(client)]));
      const results = await pipe.apply(
        names.map((client, index) => this.#release(dead, client, textsOf(stored[index]) ?? [])),
        this.#keep(renewMs / 2),
      );
      if (results.every((result) => result === "ERROR")) throw new LinkError("answer", "ERROR");
    }
  }

  #release(dead: Holder, client: string, flat: readonly string[]): Operation {
    const { instance, holder, generation } = dead;
    const stored = storedConnection(client, flat);
    const record = stored?.generation === generation ? stored.record : undefined;
    const channels = [...(stored?.channels ?? [])].flatMap(([channel, by]) =>
      by === generation ? [channel] : [],
    );
    return releaseOperation(this.#options.keys, {
      ...{ instance, client, holder, generation, channels, whole: true },
      user: record?.user ?? "",
      report: record ? JSON.stringify(record) : "-",
    });
  }

  async #report(dead: Holder): Promise<void> {
    const { pipe, keys, renewMs, stats, log, tell } = this.#options;
    const { instance, holder } = dead;
    let connections = 0;
    while (!this.#closed) {
      const [kept, reply] = await pipe.send([
        this.#keep(renewMs),
        ["HRANDFIELD", keys.swept(holder), STEP, "WITHVALUES"],
      ]);
      if (kept === 0) throw new LinkError("answer", "lock lost");
      const flat = textsOf(reply) ?? [];
      if (flat.length === 0) {
        await pipe.send([["SREM", keys.holders, holder]]);
        stats.presenceSweeps++;
        log.info("swept a dead instance", { dead: instance, connections });
        return;
      }
      const swept = readSwept(instance, flat);
      await tell(swept);
      connections += swept.connections.length;
      await pipe.send([["HDEL", keys.swept(holder), ...flat.filter((_, index) => index % 2 === 0)]]);
    }
  }

  #keep(ms: number): ScriptCall {
    return {
      script: KEEP,
      keys: [this.#options.keys.sweepLock],
      args: [this.#self, Math.ceil(ms)],
    };
  }
}

/** Reads entries of the swept hash: a line for the connection (`-`: it lives on), one for each membership removed. */
function readSwept(instance: string, flat: readonly string[]): Swept {
  const connections: ConnectionRecord[] = [];
  const left = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const client = unescapeName(flat[at]!);
    const [record, ...lines] = flat[at + 1]!.split("\n");
    const connection = record === "-" ? undefined : readRecord(record!);
    if (connection) connections.push(connection);
    for (const line of lines) {
      const [digit, channel] = line.split(" ", 2) as [string, string];
      const info = unpackMember(client, line.slice(digit.length + (channel ?? "").length + 2));
      // What no instance wrote costs nobody but itself.
      if (info) left.push({ ...leaveOutcome(digit), channel: unescapeName(channel), info });
    }
  }
  return { instance, connections, left };
}

/** A connection's record as `#release` has written it; `undefined` for anything else. */
function readRecord(text: string): ConnectionRecord | undefined {
  try {
    const record = JSON.parse(text) as Partial<ConnectionRecord> | null;
    return typeof record?.client === "string" && typeof record.user === "string"
      ? (record as ConnectionRecord)
      : undefined;
  } catch {
    return undefined;
  }
}
