import { connect, type NatsConnection } from "nats";
import type { Attachment, Broker, ChannelSink } from "../../src/broker/broker.ts";
import { natsBroker } from "../../src/broker/nats/nats.ts";
import { type ChannelName, parseChannel } from "../../src/core/channel.ts";
import { silent } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS, type Namespaces } from "../../src/core/namespace.ts";
import type { Position } from "../../src/core/position.ts";
import type { Publication } from "../../src/core/publication.ts";
import { Stats } from "../../src/core/stats.ts";
import { type Proxy as Link, tcpProxy } from "./proxy.ts";
import { type NatsProgram, type StoreCopy, type StoreServer, service, storeServer } from "./store.ts";
import { until } from "./until.ts";

/** The channel of these tests, its subject and its stream. */
export const KEPT = parseChannel("keep:room");
export const SUBJECT = "rt.keep.room";
export const STREAM = "RT_keep";

/** What a sink got since it was told of a loss last, or began. */
export class Following implements ChannelSink {
  /** Bodies with their offsets, since the last loss. */
  got: { readonly offset: number; readonly body: string }[] = [];
  readonly losses: { readonly position: Position; readonly why: string }[] = [];
  attachment: Attachment | undefined;

  publication({ offset, data }: Publication): void {
    this.got.push({ offset, body: String(data) });
  }

  event(): void {}

  lost(position: Position, why: "epoch" | "truncated"): void {
    this.losses.push({ position, why });
    this.got = [];
  }

  get bodies(): string[] {
    return this.got.map(({ body }) => body);
  }
}

/** The NATS driver in this process, several times, on one store that can go back, each through a link of its own. */
export class StoreBrokers implements AsyncDisposable {
  readonly store: StoreServer;
  readonly nc: NatsConnection;
  readonly brokers: { readonly broker: Broker; readonly stats: Stats; readonly link: Link }[] = [];
  /** Requests of all brokers to JetStream so far: reads, looks at streams. */
  requests = 0;
  readonly #parts: AsyncDisposableStack;

  private constructor(parts: AsyncDisposableStack, store: StoreServer, nc: NatsConnection) {
    this.#parts = parts;
    this.store = store;
    this.nc = nc;
  }

  static async open(program: NatsProgram, count = 1): Promise<StoreBrokers> {
    await using parts = new AsyncDisposableStack();
    const store = parts.use(await storeServer(program));
    const nc = parts.use(await service(store.url));
    const all = new StoreBrokers(parts.move(), store, nc);
    for (let n = 0; n < count; n++) await all.start();
    return all;
  }

  get first(): Broker {
    return this.brokers[0]!.broker;
  }

  /** Starts one more. */
  async start(size = 1_000): Promise<Broker> {
    const link = this.#parts.use(await tcpProxy(this.store.port));
    const stats = new Stats();
    const broker = natsBroker({
      servers: [`nats://127.0.0.1:${link.port}`],
      namespaces: keeping(size),
      instance: crypto.randomUUID(),
      region: "test",
      log: silent,
      stats,
      connect: async (options) => {
        const connection = await connect(options);
        const publish = connection.publish.bind(connection);
        connection.publish = (subject, ...rest) => {
          if (subject.startsWith("$JS.API.")) this.requests++;
          publish(subject, ...rest);
        };
        return connection;
      },
    });
    await broker.start();
    this.#parts.defer(() => broker.close());
    this.brokers.push({ broker, stats, link });
    return broker;
  }

  /** Follows a channel with a broker. */
  async follow(broker = this.first, channel: ChannelName = KEPT): Promise<Following> {
    const following = new Following();
    following.attachment = await broker.attach(channel, following);
    return following;
  }

  /** Publishes bodies through a broker. Resolves with their positions, by body. */
  async publish(
    bodies: readonly string[],
    broker = this.first,
    channel = KEPT,
  ): Promise<Map<string, Position>> {
    const positions = new Map<string, Position>();
    for (const body of bodies) {
      const { offset, epoch } = await broker.publish(channel, body, { timeoutMs: 15_000 });
      positions.set(body, { offset, epoch });
    }
    return positions;
  }

  /** Publishes bodies as services do. @param id of each; `undefined`: without one */
  async serve(
    bodies: readonly string[],
    id: (body: string) => string | undefined = () => crypto.randomUUID(),
    subject = SUBJECT,
  ): Promise<void> {
    const js = this.nc.jetstream();
    for (const body of bodies) {
      const msgID = id(body);
      await js.publish(subject, body, { ...(msgID !== undefined && { msgID }), timeout: 10_000 });
    }
  }

  /** Puts a copy back while no broker has a link; `before` is done before they have it again. */
  async goBack(copy: StoreCopy, before: () => Promise<unknown> | unknown = () => {}): Promise<void> {
    for (const { link } of this.brokers) link.cut();
    await this.store.goBack(copy);
    await this.answers();
    await before();
    for (const { link } of this.brokers) link.heal();
  }

  /** Waits until the stream answers, after a restart of the server. */
  async answers(): Promise<void> {
    const asked = async () =>
      (await (await this.nc.jetstreamManager({ timeout: 300 })).streams.info(STREAM)).config.name;
    await until(() => asked().catch(() => undefined), { what: "the stream to answer", timeoutMs: 15_000 });
  }

  /** Waits until every broker has its link. */
  async linked(): Promise<void> {
    for (const { broker } of this.brokers) {
      await until(() => broker.status().state === "connected", { what: "a link to be back" });
      await until(() => broker.history(KEPT, { limit: 1 }).catch(() => undefined), { what: "the store" });
    }
  }

  /** Whether a position recovers: with what bodies, or not at all. */
  async recovers(broker: Broker, since: Position, channel = KEPT): Promise<string> {
    try {
      const { publications, complete } = await broker.history(channel, { since, limit: 1_000 });
      return complete
        ? publications.map(({ data }) => String(data)).join(" ") || "nothing missed"
        : "unproven";
    } catch (error) {
      if ((error as { error?: { code: number } }).error?.code === 112) return "void";
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

/** Bodies `1` … as texts. */
export function bodies(from: number, to: number): string[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => String(from + index));
}

function keeping(size: number): Namespaces {
  const history = { size, ageMs: 3_600_000, recoverLimit: 1_000, replicas: 1 };
  return new Map([["keep", { ...NAMESPACE_DEFAULTS, name: "keep", history, recovery: "stream" as const }]]);
}
