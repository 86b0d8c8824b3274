import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "nats";
import { type CheckCounts, Checker } from "../src/bench/check/checker.ts";
import { StockClients } from "../src/bench/check/clients.ts";
import { apiSender, natsSender, type Sender } from "../src/bench/check/send.ts";
import { startTraffic } from "../src/bench/check/traffic.ts";
import { WRONGS } from "../src/bench/check/watch.ts";
import { tokenMaker } from "../src/bench/tokens.ts";
import type { Latency } from "../src/world/links.ts";
import { startWorld, type World } from "../src/world/world.ts";

/** A connection that is made anew for ever. */
const LASTING = { maxReconnectAttempts: -1, reconnectTimeWait: 100 };

export interface StageOptions {
  /** Of each region. */
  readonly instances: number;
  readonly clients: number;
  readonly channels: number;
  readonly ratePerSecond: number;
  readonly latency: Latency;
  /** Connections an instance that drains closes a second. */
  readonly drainPerSecond: number;
  /** Delays of reconnects, ms; default the SDK's own. */
  readonly delaysMs?: readonly [least: number, most: number];
  /** Settings of all instances besides. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** What is done to a world, and what must come of it. */
export interface Fault {
  readonly name: string;
  /** For the table. */
  readonly what: string;
  strike(stage: Stage): Promise<void> | void;
  /** Ends the fault after `holdMs`; without it, the world must go on as it is. */
  readonly holdMs?: number;
  heal?(stage: Stage): Promise<void> | void;
  /** Makes the world whole again for the next fault. */
  after?(stage: Stage): Promise<void> | void;
  /** Every client is told of a gap; default: nobody is. */
  readonly gaps?: true;
  /** Connections are lost by it; default: none. */
  readonly breaks?: true;
}

/** What came of a fault. Times in ms; `undefined`: not in time. */
export interface Suffered {
  readonly name: string;
  readonly what: string;
  readonly counts: CheckCounts;
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
const SETTLE_MS = 20_000;
const POLL_MS = 50;
const CALM_MS = 500;

/** A world of three regions in which faults are suffered, one after the other. */
export class Stage implements AsyncDisposable {
  readonly world: World;
  readonly options: StageOptions;
  readonly #senders: readonly Sender[];

  constructor(world: World, options: StageOptions, senders: readonly Sender[]) {
    this.world = world;
    this.options = options;
    this.#senders = senders;
  }

  /** Every instance of the world. */
  get instances() {
    return this.world.regions.flatMap(({ instances }) => instances);
  }

  /** Clients come in, messages flow, the fault strikes, everybody comes back, and what came of it is judged. */
  async suffer(fault: Fault): Promise<Suffered> {
    const problems: string[] = [];
    const checker = new Checker();
    using crowd = await this.#crowd(checker);
    await this.#presenceRight(crowd, performance.now(), problems);
    const { channels } = crowd;
    const { ratePerSecond } = this.options;
    const load = startTraffic({ checker, channels, ratePerSecond, senders: this.#senders });
    await inTime(() => load.all(2), "messages flow", problems);
    await sleep(CALM_MS);
    const struckSecond = crowd.second;
    const struckAt = performance.now();
    await fault.strike(this);
    if (fault.heal) await sleep(fault.holdMs ?? 0);
    const overAt = performance.now();
    await fault.heal?.(this);
    const presence = this.#presenceRight(crowd, overAt, problems);
    const gaps = fault.gaps ? crowd.size : 0;
    const heard = () => checker.silences(overAt, performance.now()).firstMs !== undefined;
    await inTime(() => checker.totals.discontinuities >= gaps, "gaps announced", problems);
    await inTime(() => crowd.subscribed === crowd.size && heard(), "everybody back and served", problems);
    const presenceMs = await presence;
    await sleep(CALM_MS);
    await load.stop();
    const { longestMs: silenceMs } = checker.silences(struckAt, performance.now());
    const { firstMs } = checker.silences(overAt, performance.now());
    await checker.settle(SETTLE_MS);
    const { counts } = checker;
    for (const wrong of WRONGS) if (counts[wrong] > 0) problems.push(`${counts[wrong]} ${wrong}`);
    if (counts.discontinuities !== gaps) problems.push(`${counts.discontinuities} gaps announced`);
    if (crowd.reconnects > 0 !== (fault.breaks ?? false)) problems.push(`${crowd.reconnects} reconnects`);
    if (problems.length > 0) problems.push(...checker.violations.slice(0, 20));
    const { gone, back } = crowd.rhythm;
    const backMs = crowd.disturbances.flatMap((one) => one.backMs);
    await fault.after?.(this);
    return {
      name: fault.name,
      what: fault.what,
      counts,
      reconnects: crowd.reconnects,
      firstMs: fault.heal ? firstMs : Math.max(0, ...backMs) || silenceMs,
      silenceMs,
      presenceMs,
      gonePerSecond: gone.slice(struckSecond),
      backPerSecond: back.slice(struckSecond),
      problems,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sender of this.#senders) await sender[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }

  /** Clients in channels of their own, at all instances. */
  async #crowd(checker: Checker): Promise<StockClients> {
    const { clients, delaysMs } = this.options;
    const run = randomBytes(4).toString("hex");
    const channels = Array.from({ length: this.options.channels }, (_, n) => `chat:survival.${run}.${n}`);
    const token = tokenMaker({ secret: this.world.secrets.token, users: "own" });
    const endpoints = this.instances.map(({ websocket }) => websocket);
    const crowd = new StockClients({
      endpoints,
      clients,
      channels,
      token,
      checker,
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
        for (const { url, id, alive } of this.instances) {
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
        headers: { "content-type": "application/json", "x-api-key": this.world.secrets.apiKey },
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

/** Starts the world. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const { instances, latency, drainPerSecond } = options;
  await using parts = new AsyncDisposableStack();
  const world = parts.use(
    await startWorld({
      regions: 3,
      instances,
      latency,
      config: {
        drain: { ratePerSecond: drainPerSecond, deadline: "25s" },
        limits: { connectsPerIpPerSecond: 0 },
        ...options.config,
      },
    }),
  );
  // Services of each region over NATS; as many again through instances, which go on to the next one.
  const urls = world.regions.flatMap((region) => region.instances.map(({ url }) => url));
  const senders: Sender[] = [];
  for (const [n, { nats }] of world.regions.entries()) {
    const start = n * instances;
    senders.push(await natsSender(() => connect({ servers: nats.url, ...LASTING }), "rt"));
    senders.push(apiSender([...urls.slice(start), ...urls.slice(0, start)], world.secrets.apiKey));
  }
  parts.move();
  return new Stage(world, options, senders);
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
