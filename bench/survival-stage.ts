import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type CheckCounts, Checker } from "../src/bench/check/checker.ts";
import { StockClients } from "../src/bench/check/clients.ts";
import type { Sender } from "../src/bench/check/send.ts";
import type { ReadStore } from "../src/bench/check/store.ts";
import { startTraffic } from "../src/bench/check/traffic.ts";
import { WRONGS } from "../src/bench/check/watch.ts";
import { tokenMaker } from "../src/bench/tokens.ts";
import type { WorldInstance } from "../src/world/instance.ts";
import { type Copy, differences } from "./survival-copies.ts";
import { until } from "./survival-deeds.ts";

export interface StageOptions {
  readonly clients: number;
  readonly channels: number;
  readonly ratePerSecond: number;
  /** Delays of reconnects, ms; default the SDK's own. */
  readonly delaysMs?: readonly [least: number, most: number];
}

/** A system in which faults are suffered. */
export interface Theatre extends AsyncDisposable {
  readonly instances: readonly WorldInstance[];
  readonly secrets: { readonly token: string; readonly apiKey: string };
  readonly senders: readonly Sender[];
  /** What stands, as the leader of the streams' home has it. */
  readonly store: ReadStore;
  /** Where the same must stand in the end: replicas, and copies in other regions; without those that are away. */
  readonly copies: readonly Copy[];
}

/** What is done to a theatre, and what must come of it. */
export interface Fault<T extends Theatre> {
  readonly name: string;
  /** For the table. */
  readonly what: string;
  /** @param served resolves when every client has had something delivered since it was called, or not in time */
  strike(theatre: T, served: () => Promise<void>): Promise<void> | void;
  /** Ends the fault after `holdMs`; without it, the world must go on as it is. */
  readonly holdMs?: number;
  heal?(theatre: T): Promise<void> | void;
  /** Makes the world whole again for the next fault. */
  after?(theatre: T): Promise<void> | void;
  /** Every client is told of a gap, or some may be; default: nobody is. */
  readonly gaps?: "all" | "some";
  /** Connections are lost by it, or some may be; default: none. */
  readonly breaks?: true | "some";
  /** The store loses acknowledged messages by it; default: none. */
  readonly forgets?: true;
  /** Why it cannot be done here; `undefined`: it can. */
  readonly missing?: string;
}

/** What came of a fault. Times in ms; `undefined`: not in time. */
export interface Suffered {
  readonly name: string;
  readonly what: string;
  readonly counts: CheckCounts;
  /** Messages that a replica or copy has not as the store has them. */
  readonly differences: number;
  readonly reconnects: number;
  /**
   * Until the last client had something delivered: since the fault ended; where it does not end, since that client lost
   * its connection; where nobody lost one, the longest silence.
   */
  readonly firstMs: number | undefined;
  /** Longest that any client heard nothing, since the fault began. */
  readonly silenceMs: number;
  /** Until every instance knew exactly who is there, since the fault was over or done. */
  readonly presenceMs: number | undefined;
  /** Connections lost and made again in each second since it began. */
  readonly gonePerSecond: readonly number[];
  readonly backPerSecond: readonly number[];
  readonly problems: readonly string[];
}

/** Everybody must be back, and know who else is, in this time. */
const RECOVER_MS = 60_000;
/** Instances look at their stores every 10 s when nothing is odd. */
const SETTLE_MS = 20_000;
/** nats-server asks again for what a copy lacks in its own time. Nobody waits for it: what a copy lacks is read at home. */
const LEVEL_MS = 60_000;
const POLL_MS = 50;
const CALM_MS = 500;

/** Where faults are suffered, one after the other. */
export class Stage<T extends Theatre> implements AsyncDisposable {
  readonly theatre: T;
  readonly options: StageOptions;

  constructor(theatre: T, options: StageOptions) {
    this.theatre = theatre;
    this.options = options;
  }

  /** Clients come in, messages flow, the fault strikes, everybody comes back, and what came of it is judged. */
  async suffer(fault: Fault<T>): Promise<Suffered> {
    const problems: string[] = [];
    const checker = new Checker();
    using crowd = await this.#crowd(checker);
    await this.#presenceRight(crowd, performance.now(), problems);
    const { channels } = crowd;
    const { senders } = this.theatre;
    const load = startTraffic({ checker, channels, ratePerSecond: this.options.ratePerSecond, senders });
    await inTime(() => load.all(2), "messages flow", problems);
    await sleep(CALM_MS);
    const struckSecond = crowd.second;
    const struckAt = performance.now();
    await fault.strike(this.theatre, async () => {
      const since = performance.now();
      await inTime(
        () => checker.silences(since, performance.now()).firstMs !== undefined,
        "everybody served before the worst",
        problems,
      );
    });
    if (fault.heal) await sleep(fault.holdMs ?? 0);
    const overAt = performance.now();
    await fault.heal?.(this.theatre);
    const presence = this.#presenceRight(crowd, overAt, problems);
    const heard = () => checker.silences(overAt, performance.now()).firstMs !== undefined;
    if (fault.gaps === "all") await inTime(() => checker.told === crowd.size, "gaps announced", problems);
    await inTime(() => crowd.subscribed === crowd.size && heard(), "everybody back and served", problems);
    const presenceMs = await presence;
    await sleep(CALM_MS);
    await load.stop();
    const { longestMs: silenceMs } = checker.silences(struckAt, performance.now());
    const { firstMs } = checker.silences(overAt, performance.now());
    const differing = await this.#compare(checker, channels, problems);
    problems.push(...wrongs(fault, checker, crowd));
    if (problems.length > 0) problems.push(...checker.violations.slice(0, 20));
    const { gone, back } = crowd.rhythm;
    const backMs = crowd.disturbances.flatMap((one) => one.backMs);
    await fault.after?.(this.theatre);
    return {
      ...{ name: fault.name, what: fault.what, counts: checker.counts, reconnects: crowd.reconnects },
      differences: differing,
      firstMs: fault.heal ? firstMs : Math.max(0, ...backMs) || silenceMs,
      ...{ silenceMs, presenceMs, problems },
      gonePerSecond: gone.slice(struckSecond),
      backPerSecond: back.slice(struckSecond),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.theatre[Symbol.asyncDispose]();
  }

  /** Holds the store against clients and publishers, and copies and replicas against the store. @returns differences */
  async #compare(checker: Checker, channels: readonly string[], problems: string[]): Promise<number> {
    const { store, copies } = this.theatre;
    try {
      // A server that came back a moment ago may not know yet who leads.
      await until(() => store(channels[0]!));
      await checker.compare(store, SETTLE_MS);
      const found = await differences(store, copies, { channels, withinMs: LEVEL_MS });
      if (found.length > 0)
        problems.push(`${found.length} differences from the store`, ...found.slice(0, 10));
      return found.length;
    } catch (error) {
      problems.push(`the store cannot be read: ${error instanceof Error ? error.message : error}`);
      return 0;
    }
  }

  /** Clients in channels of their own, at all instances. */
  async #crowd(checker: Checker): Promise<StockClients> {
    const { clients, delaysMs } = this.options;
    const run = randomBytes(4).toString("hex");
    const channels = Array.from({ length: this.options.channels }, (_, n) => `chat:survival.${run}.${n}`);
    const token = tokenMaker({ secret: this.theatre.secrets.token, users: "own" });
    const endpoints = this.theatre.instances.map(({ websocket }) => websocket);
    const crowd = new StockClients({
      ...{ endpoints, clients, channels, token, checker },
      ...(delaysMs && { delaysMs }),
    });
    await crowd.connect();
    return crowd;
  }

  /** Since `at`, until every instance that runs names exactly the clients that are there, ms. */
  async #presenceRight(crowd: StockClients, at: number, problems: string[]): Promise<number | undefined> {
    let wrong = "";
    const right = async () => {
      for (const channel of crowd.channels) {
        for (const { url, id, alive } of this.theatre.instances) {
          if (!alive) continue;
          const known = await this.#presence(url, channel);
          const there = crowd.membersOf(channel);
          if (known && Bun.deepEquals(known, there)) continue;
          wrong = `${id} names ${known?.length ?? "nobody, or not all,"} of ${there.length} in ${channel}`;
          return false;
        }
      }
      return crowd.subscribed === crowd.size;
    };
    const late: string[] = [];
    await inTime(right, "presence right", late);
    if (late.length === 0) return performance.now() - at;
    problems.push(`${late[0]} (${wrong})`);
    return undefined;
  }

  /** Ids of a channel's connections in order; `undefined` while the instance cannot tell for all. */
  async #presence(url: string, channel: string): Promise<string[] | undefined> {
    try {
      const response = await fetch(`${url}/api/presence`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": this.theatre.secrets.apiKey },
        body: JSON.stringify({ channel }),
        signal: AbortSignal.timeout(2_000),
      });
      const { result } = (await response.json()) as { result?: { presence: object; partial?: boolean } };
      return result && !result.partial ? Object.keys(result.presence).sort() : undefined;
    } catch {
      return undefined;
    }
  }
}

/** What came of a fault that must not come of it, and what must and did not. */
function wrongs<T extends Theatre>(fault: Fault<T>, checker: Checker, crowd: StockClients): string[] {
  const { counts, told } = checker;
  const problems = WRONGS.filter((wrong) => counts[wrong] > 0).map((wrong) => `${counts[wrong]} ${wrong}`);
  const { gaps, breaks, forgets } = fault;
  // Two instances that find the same loss may each give the stream a new life: then some are told twice.
  if (gaps === "all" && told < crowd.size) problems.push(`${told} clients told of a gap`);
  if (!gaps && counts.discontinuities > 0) problems.push(`${counts.discontinuities} gaps announced`);
  if (breaks !== "some" && crowd.reconnects > 0 !== (breaks ?? false))
    problems.push(`${crowd.reconnects} reconnects`);
  if (forgets !== (counts.forgotten > 0 || undefined))
    problems.push(`${counts.forgotten} acknowledged messages are gone from the store`);
  if (!forgets && counts.repeated > 0) problems.push(`${counts.repeated} came again after a gap`);
  if (counts.compared === 0) problems.push("nothing was compared with the store");
  return problems;
}

async function inTime(
  probe: () => Promise<boolean> | boolean,
  what: string,
  problems: string[],
): Promise<void> {
  const end = performance.now() + RECOVER_MS;
  while (!(await probe())) {
    if (performance.now() > end) {
      problems.push(`not within ${RECOVER_MS / 1_000} s: ${what}`);
      return;
    }
    await sleep(POLL_MS);
  }
}
