import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apiSender, natsSender, type Sender } from "../src/bench/check/send.ts";
import { natsStore, type ReadStore } from "../src/bench/check/store.ts";
import { connect } from "../src/nats/client.ts";
import type { Latency } from "../src/world/links.ts";
import { startWorld, type World } from "../src/world/world.ts";
import type { Theatre } from "./survival-stage.ts";

export interface RegionsOptions {
  /** Of each region. */
  readonly instances: number;
  readonly latency: Latency;
  /** Connections an instance that drains closes a second. */
  readonly drainPerSecond: number;
  /** Settings of all instances besides. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Debian's package `libfaketime` has it: a process with this library has the time that a file says. */
const FAKETIME = ["x86_64", "aarch64"]
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));

/** Region of the instance whose clock can be set: its last one. */
const CLOCKED = "fra";

/** Why no clock can be set here; `undefined`: one can. */
export const noClock = FAKETIME ? undefined : "libfaketime is not installed";

/** More than any run stores in a channel, so that the store shows everything at the end. */
const HISTORY = 50_000;

const connection = { maxReconnectAttempts: -1, reconnectTimeWait: 100 };

/** A world of three regions: streams at home in `iad` with one replica, copies in `fra` and `sin`, Redis in `iad`. */
export class Regions implements Theatre {
  readonly world: World;
  readonly senders: readonly Sender[];
  readonly #parts: AsyncDisposableStack;
  readonly #clock: string;
  readonly #options: RegionsOptions;
  #historySize = HISTORY;

  private constructor(
    world: World,
    options: RegionsOptions,
    rest: { senders: readonly Sender[]; clock: string; parts: AsyncDisposableStack },
  ) {
    this.world = world;
    this.#options = options;
    this.senders = rest.senders;
    this.#clock = rest.clock;
    this.#parts = rest.parts;
  }

  static async open(options: RegionsOptions): Promise<Regions> {
    await using parts = new AsyncDisposableStack();
    const { instances, latency } = options;
    const dir = await mkdtemp(join(tmpdir(), "trunkline-survival-"));
    parts.defer(() => rm(dir, { recursive: true, force: true }));
    const clock = join(dir, "clock");
    await writeFile(clock, "+0");
    const world = parts.use(
      await startWorld({
        ...{ regions: 3, instances, latency },
        config: configOf(options, HISTORY),
        env: (id) => (id === `${CLOCKED}-${instances}` ? clockedBy(clock) : {}),
      }),
    );
    const senders = await sendersOf(world);
    for (const sender of senders) parts.use(sender);
    return new Regions(world, options, { senders, clock, parts: parts.move() });
  }

  get instances() {
    return this.world.regions.flatMap(({ instances }) => instances);
  }

  get secrets() {
    return this.world.secrets;
  }

  get store(): ReadStore {
    const [home] = this.world.regions;
    return natsStore(() => connect({ servers: home!.nats.url }), "rt");
  }

  get copies() {
    const [, ...far] = this.world.regions;
    // A copy is made anew by the instances of its region: without one it stays as it is, and nobody reads it.
    return far
      .filter(({ nats, instances }) => nats.alive && instances.some(({ alive }) => alive))
      .map(({ name, nats }) => ({
        name: `copy in ${name}`,
        read: natsStore(() => connect({ servers: nats.url }), "rt", { stream: (own) => `${own}_${name}` }),
      }));
  }

  /** Sets the clock of one instance. @param offset such as `+1h` or `-30m` */
  async setClock(offset: string): Promise<void> {
    await writeFile(this.#clock, offset);
  }

  /** Changes `history.size` in the configuration; it counts for instances that start. */
  async changeHistorySize(): Promise<void> {
    await this.world.configure(configOf(this.#options, ++this.#historySize));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

function configOf({ config, drainPerSecond }: RegionsOptions, size: number): object {
  const { namespaces, ...rest } = config ?? {};
  const { chat } = (namespaces ?? {}) as { chat?: object };
  return {
    drain: { ratePerSecond: drainPerSecond, deadline: "25s" },
    limits: { connectsPerIpPerSecond: 0 },
    ...rest,
    namespaces: { chat: { history: { size, age: "2h" }, ...chat } },
  };
}

/** The monotonic clock, which timers go by, stays: no clock that is set moves it. */
function clockedBy(file: string): Record<string, string> {
  if (!FAKETIME) return {};
  return {
    LD_PRELOAD: FAKETIME,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}

/** Services of each region over NATS; as many again through instances, which go on to the next one. */
async function sendersOf({ regions, secrets }: World): Promise<Sender[]> {
  const urls = regions.flatMap((region) => region.instances.map(({ url }) => url));
  const senders: Sender[] = [];
  for (const [n, { nats, instances }] of regions.entries()) {
    const start = n * instances.length;
    senders.push(await natsSender(() => connect({ servers: nats.url, ...connection }), "rt"));
    senders.push(apiSender([...urls.slice(start), ...urls.slice(0, start)], secrets.apiKey));
  }
  return senders;
}
