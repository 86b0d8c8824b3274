import { join } from "node:path";
import type { NatsConnection } from "nats";
import { Errors } from "../../src/core/errors.ts";
import { testClient } from "./clients.ts";
import { callApi, startInstance, type TestInstance } from "./instances.ts";
import { type Proxy as Link, tcpProxy } from "./proxy.ts";
import { type NatsProgram, type StoreCopy, type StoreServer, service, storeServer } from "./store.ts";
import { EventClient } from "./streams.ts";
import { connectionToken } from "./tokens.ts";
import { until } from "./until.ts";

/** The channel that the tests of positions use, its subject and its stream. */
const CHANNEL = "chat:room";
const SUBJECT = "rt.chat.room";
const STREAM = "RT_chat";
const UNRECOVERABLE = Errors.unrecoverablePosition.code;

/** Settings of their instances: nothing ages or is dropped meanwhile, and nobody is refused. */
const POSITIONS_CONFIG = {
  namespaces: { chat: { history: { size: 1_000, age: "1h", recoverLimit: 1_000 }, subscribe: "anyone" } },
  limits: { commandsPerSecond: 0, connectsPerIpPerSecond: 0 },
};

/** A position as clients know it. */
export interface KnownPosition {
  readonly offset: number;
  readonly epoch: string;
}

/** A store that can go back, and instances that reach it through links of their own. */
export class Stage implements AsyncDisposable {
  readonly store: StoreServer;
  readonly nc: NatsConnection;
  readonly links: readonly Link[];
  /** They may be replaced by {@link restart}. */
  readonly instances: TestInstance[] = [];
  /** Positions by the body of their message. */
  readonly positions = new Map<number, KnownPosition>();
  readonly #config: object;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    parts: AsyncDisposableStack,
    store: StoreServer,
    nc: NatsConnection,
    links: readonly Link[],
    config: object,
  ) {
    this.#parts = parts;
    this.store = store;
    this.nc = nc;
    this.links = links;
    this.#config = config;
  }

  /** @param config of the instances; default {@link POSITIONS_CONFIG} */
  static async open(
    program: NatsProgram,
    { instances = 1, config = POSITIONS_CONFIG }: { instances?: number; config?: object } = {},
  ): Promise<Stage> {
    await using parts = new AsyncDisposableStack();
    const store = parts.use(await storeServer(program));
    const nc = parts.use(await service(store.url));
    const links: Link[] = [];
    for (let n = 0; n < instances; n++) links.push(parts.use(await tcpProxy(store.port)));
    const stage = new Stage(parts.move(), store, nc, links, config);
    for (let n = 0; n < instances; n++) stage.instances.push(await stage.#start(n));
    return stage;
  }

  get first(): TestInstance {
    return this.instances[0]!;
  }

  /** Publishes bodies through the first instance, and keeps their positions. */
  async publish(from: number, to: number, instance = this.first): Promise<void> {
    for (let n = from; n <= to; n++) {
      const params = { channel: CHANNEL, data: n, idempotency_key: `id-${n}-${crypto.randomUUID()}` };
      const { offset, epoch } = await callApi<KnownPosition>(instance.url, "publish", params);
      this.positions.set(n, { offset, epoch });
    }
  }

  /** Publishes bodies to NATS, past the instances, as services do. */
  async serve(
    from: number,
    to: number,
    id = (n: number): string | undefined => `svc-${n}-${crypto.randomUUID()}`,
  ) {
    const js = this.nc.jetstream();
    for (let n = from; n <= to; n++) {
      const msgID = id(n);
      await js.publish(SUBJECT, JSON.stringify(n), { ...(msgID !== undefined && { msgID }), timeout: 5_000 });
    }
  }

  /**
   * The store goes back, and is overtaken up to body `to` (none: it is not) by services before any instance is on it
   * again; or, with `first`, after they all are.
   */
  async goBack(copy: StoreCopy, overtake?: { from: number; to: number; first?: "instances" }): Promise<void> {
    for (const link of this.links) link.cut();
    await this.store.goBack(copy);
    await answers(this.nc);
    if (overtake && overtake.first !== "instances") await this.serve(overtake.from, overtake.to);
    for (const link of this.links) link.heal();
    await this.settled();
    if (overtake?.first === "instances") await this.serve(overtake.from, overtake.to);
  }

  /** The store goes back while no instance runs, and services go on before one does again. */
  async goBackUnseen(copy: StoreCopy, serve: () => Promise<unknown>): Promise<void> {
    for (const instance of this.instances) await instance.kill();
    await this.store.goBack(copy);
    await answers(this.nc);
    await serve();
    await this.restart();
  }

  /** Copies what the store has now; everybody is on it again then. */
  async keep(): Promise<StoreCopy> {
    const copy = await this.store.keep();
    await answers(this.nc);
    await this.settled();
    return copy;
  }

  /** Ends instances at once and starts them anew. @param numbers default: all */
  async restart(numbers: readonly number[] = this.instances.keys().toArray()): Promise<void> {
    for (const n of numbers) await this.instances[n]!.kill();
    for (const n of numbers) this.instances[n] = await this.#start(n);
  }

  /** Waits until every instance is on the store. */
  async settled(): Promise<void> {
    for (const instance of this.instances) {
      const answers = () => instance.api("history", { channel: CHANNEL, limit: 1 }).catch(() => undefined);
      await until(answers, { what: "an instance to be on the store", timeoutMs: 15_000 });
    }
  }

  /** A file with the settings of its instances, for commands beside them. */
  async configFile(): Promise<string> {
    const file = join(this.store.dir, "trunkline.json");
    await Bun.write(file, JSON.stringify(this.#config));
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const instance of this.instances) await instance.kill();
    await this.#parts.disposeAsync();
  }

  #start(n: number): Promise<TestInstance> {
    const env = { NATS_URL: `nats://127.0.0.1:${this.links[n]!.port}` };
    return startInstance({ config: this.#config, env });
  }
}

/** Waits until a server that was started again answers for its streams. */
async function answers(nc: NatsConnection): Promise<void> {
  await until(
    async () => {
      try {
        await (await nc.jetstreamManager({ timeout: 300 })).streams.info(STREAM);
        return true;
      } catch {
        return false;
      }
    },
    { what: "the stream to answer" },
  );
}

/** What a client is told that comes back with a position. */
interface Returned {
  readonly recovered: boolean;
  readonly bodies: readonly unknown[];
}

/** A way to come back: asks an instance for what came after a position. */
type Door = (instance: TestInstance, since: KnownPosition, channel?: string) => Promise<Returned>;

async function stock(
  instance: TestInstance,
  since: KnownPosition,
  channel: string,
  encoding: "json" | "protobuf",
) {
  using client = testClient(instance.websocket, { user: "ann", encoding });
  await client.connected();
  const { subscribed, data } = await client.subscribe(channel, { since });
  return { recovered: subscribed[0]!.recovered, bodies: data() };
}

/** Every way in which clients come back with a position of one channel, by name. */
const DOORS: Readonly<Record<string, Door>> = {
  "centrifuge, JSON": (instance, since, channel = CHANNEL) => stock(instance, since, channel, "json"),
  "centrifuge, Protobuf": (instance, since, channel = CHANNEL) => stock(instance, since, channel, "protobuf"),
  "one-way events": async (instance, since, channel = CHANNEL) => {
    const token = connectionToken({ user: "ann" });
    using client = new EventClient(instance, { token, subs: { [channel]: { recover: true, ...since } } });
    await until(() => client.connects.length > 0, { what: "a stream to answer" });
    const { recovered, publications } = client.connects[0]!.subs![channel]!;
    return { recovered: recovered ?? false, bodies: (publications ?? []).map(({ data }) => data) };
  },
  "history of the API": async (instance, since, channel = CHANNEL) => {
    try {
      const params = { channel, since, limit: 1_000 };
      const { publications } = await instance.api<{ publications: { data: unknown }[] }>("history", params);
      return { recovered: true, bodies: publications.map(({ data }) => data) };
    } catch (error) {
      if ((error as { code: number }).code !== UNRECOVERABLE) throw error;
      return { recovered: false, bodies: [] };
    }
  },
};

/** What a client with a position is told through every door, one line each, to be compared with {@link told}. */
export async function returns(instance: TestInstance, since: KnownPosition): Promise<string[]> {
  const all = Object.entries(DOORS).map(async ([name, door]) => {
    const { recovered, bodies } = await door(instance, since);
    return `${name}: ${recovered ? `recovered ${bodies.join(" ")}` : "told"}`;
  });
  return await Promise.all(all);
}

/** What {@link returns} must be. @param bodies those that are recovered; none: the client is told that it cannot be */
export function told(bodies?: readonly number[]): string[] {
  return Object.keys(DOORS).map((name) => `${name}: ${bodies ? `recovered ${bodies.join(" ")}` : "told"}`);
}

/** Whole numbers from the first to the last. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}
