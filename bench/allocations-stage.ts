import { heapStats } from "bun:jsc";
import { jwtAuthenticator } from "../src/auth/jwt/jwt.ts";
import { startStack } from "../src/bench/load/target/stack.ts";
import { tokenMaker } from "../src/bench/tokens.ts";
import type { Broker } from "../src/broker/broker.ts";
import { memoryBroker, memoryBus } from "../src/broker/memory/memory.ts";
import { natsBroker } from "../src/broker/nats/nats.ts";
import { CentrifugeDialects } from "../src/centrifuge/dialect.ts";
import { gatewayOptions } from "../src/cli/instance-options.ts";
import { loadConfig } from "../src/config.ts";
import { silent } from "../src/core/log.ts";
import { NAMESPACE_DEFAULTS, type NamespaceRules } from "../src/core/namespace.ts";
import { Stats } from "../src/core/stats.ts";
import { createGateway } from "../src/gateway/create.ts";
import { memoryPresence, memoryPresenceHub } from "../src/presence/memory/memory.ts";
import type { Children } from "../src/process/children.ts";
import type { Socket, SocketHandler } from "../src/runtime/runtime.ts";

/** Bytes of heap that one thing takes on its way, live or garbage. */
export interface Allocations {
  /** A message from a client's frame until its channel and its publisher have it. */
  readonly message: number;
  /** A connect with a token and a subscribe. */
  readonly connect: number;
}

const ROOMS = 4;
const CLIENTS = 40;
const BATCH = 8;
const WARM = 2_000;
const MESSAGES = 3_000;
const CONNECTS = 300;

const SECRET = "a secret of thirty-two bytes 123";
const RULES: NamespaceRules = {
  ...NAMESPACE_DEFAULTS,
  ...{ name: "bench", recovery: "stream", presence: true, subscribe: "anyone", publish: "anyone" },
  history: { size: 100, ageMs: 600_000, recoverLimit: 100, replicas: 1 },
};

/**
 * Counts what a gateway takes of the heap, with collections off (`BUN_JSC_useGC=false`): its sockets are stubs, presence is
 * in memory, and its broker is in memory or NATS.
 */
export async function allocations(driver: "memory" | "nats", children: Children): Promise<Allocations> {
  const namespaces = new Map([["bench", RULES]]);
  const common = { instance: "bench", log: silent, stats: new Stats() };
  await using stack = driver === "nats" ? await startStack(children) : undefined;
  const broker: Broker = stack
    ? natsBroker({
        ...{ ...common, namespaces, servers: [stack.natsUrl], root: "rt", region: "here", lingerMs: 0 },
        ...{ eventQueue: 10_000, longestRequest: 65_536 },
      })
    : memoryBroker({ bus: memoryBus({ namespaces }), ...common });
  const stage = new Stage(broker, namespaces, common);
  await stage.start();
  try {
    for (let n = 0; n < CLIENTS; n++) await stage.join();
    await stage.publish(WARM);
    const message = await perEach(MESSAGES, () => stage.publish(MESSAGES));
    const connect = await perEach(CONNECTS, async () => {
      for (let n = 0; n < CONNECTS; n++) await stage.join();
    });
    return { message, connect };
  } finally {
    await stage.close();
  }
}

async function perEach(count: number, run: () => Promise<void>): Promise<number> {
  const before = heapStats().heapCapacity;
  await run();
  await Bun.sleep(100);
  return (heapStats().heapCapacity - before) / count;
}

type Common = Pick<Parameters<typeof createGateway>[0], "instance" | "log" | "stats">;

/** A gateway and those who are connected to it. */
class Stage {
  readonly #seats: Seat[] = [];
  readonly #topics = new Map<string, Set<Seat>>();
  readonly #broker: Broker;
  readonly #presence: ReturnType<typeof memoryPresence>;
  readonly #authenticator: ReturnType<typeof jwtAuthenticator>;
  readonly #gateway: ReturnType<typeof createGateway>;
  readonly #dialect: ReturnType<CentrifugeDialects["socket"]>;
  readonly #token = tokenMaker({ secret: SECRET, users: "own" });
  #published = 0;

  constructor(broker: Broker, namespaces: ReadonlyMap<string, NamespaceRules>, common: Common) {
    const loaded = loadConfig({ env: { TRUNKLINE_TOKEN_SECRET: SECRET } });
    if (loaded.problems) throw new Error(loaded.problems.join("; "));
    const load = () => ({ connections: 0, capacity: 1 });
    this.#broker = broker;
    this.#presence = memoryPresence({ ...common, hub: memoryPresenceHub(), region: "here", load });
    this.#authenticator = jwtAuthenticator({
      issuers: [{ algorithms: ["HS256"], secret: SECRET }],
      log: silent,
    });
    this.#gateway = createGateway({
      ...{ ...common, region: "here", version: "0", namespaces: new Map(namespaces), broker },
      ...{ presence: this.#presence, authenticator: this.#authenticator },
      options: gatewayOptions(loaded.config),
      callouts: () => {
        throw new Error("nobody is asked here");
      },
      policy: { needsSignature: () => false, listsUsers: () => false, mostUsers: () => 0 },
      membership: { occupied() {}, vacated() {}, joined() {}, left() {}, changed() {} },
      fanout: { publish: (topic, frame) => this.#publishTopic(topic, frame) },
      ...{ overloaded: () => false, release: () => {} },
      vitals: () => ({
        ...{ connectionsLimit: 1, draining: false, overload: "ok", unready: [] },
        ...{ loopDelayMs: 0, residentBytes: 0 },
      }),
    });
    this.#dialect = new CentrifugeDialects(this.#gateway.context).socket("centrifuge-json");
  }

  async start(): Promise<void> {
    await Promise.all([this.#broker.start(), this.#presence.start(), this.#authenticator.start()]);
    this.#gateway.start();
  }

  async close(): Promise<void> {
    await this.#gateway.close();
    await Promise.allSettled([this.#presence.close(), this.#broker.close(), this.#authenticator.close()]);
  }

  /** One more client, in one of the rooms. */
  async join(): Promise<void> {
    const n = this.#seats.length;
    const seat = new Seat(
      this.#gateway.accept({ ip: "127.0.0.1", admissionKey: "127.0.0.1" }, this.#dialect),
      this.#topics,
    );
    this.#seats.push(seat);
    seat.data.opened(seat);
    seat.data.message(
      seat,
      `{"id":1,"connect":{"token":"${this.#token(n)}","name":"js"}}\n` +
        `{"id":2,"subscribe":{"channel":"bench:room-${n % ROOMS}","recoverable":true,"positioned":true}}`,
    );
    await seat.hears(2);
  }

  /** So many messages, some at a time. */
  async publish(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const seat = this.#seats[n % CLIENTS]!;
      const heard = seat.sent;
      const id = ++this.#published;
      const data = `{"id":${id},"at":1700000000000,"text":"as long as most messages are, and no longer"}`;
      seat.data.message(seat, `{"id":${id},"publish":{"channel":"bench:room-${n % ROOMS}","data":${data}}}`);
      if (n % BATCH === BATCH - 1) await seat.hears(heard + 2);
    }
  }

  #publishTopic(topic: string, frame: string | Uint8Array): boolean {
    for (const seat of this.#topics.get(topic) ?? []) seat.send(frame);
    return true;
  }
}

/** A socket that counts. */
class Seat implements Socket {
  data: SocketHandler;
  sent = 0;
  readonly #topics: Map<string, Set<Seat>>;

  constructor(data: SocketHandler, topics: Map<string, Set<Seat>>) {
    this.data = data;
    this.#topics = topics;
  }

  /** @throws Error when it was not sent so many frames within some seconds */
  async hears(frames: number): Promise<void> {
    const untilMs = performance.now() + 10_000;
    while (this.sent < frames) {
      if (performance.now() > untilMs) throw new Error("a stub of a client was told nothing");
      await Bun.sleep(1);
    }
  }

  send(frame: string | Uint8Array): number {
    this.sent++;
    return frame.length;
  }

  subscribe(topic: string): void {
    const seats = this.#topics.get(topic);
    if (seats) seats.add(this);
    else this.#topics.set(topic, new Set([this]));
  }

  unsubscribe(topic: string): void {
    this.#topics.get(topic)?.delete(this);
  }

  publish(_: string, frame: string | Uint8Array): number {
    return frame.length;
  }

  ping(): void {}

  close(): void {
    this.data.closed(this, 1000, "");
  }

  terminate(): void {
    this.close();
  }

  getBufferedAmount(): number {
    return 0;
  }

  cork(callback: () => void): void {
    callback();
  }
}
