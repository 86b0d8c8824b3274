import type { Broker } from "../../src/broker/broker.ts";
import { natsBroker } from "../../src/broker/nats/nats.ts";
import { type ChannelName, parseChannel } from "../../src/core/channel.ts";
import type { Logger } from "../../src/core/log.ts";
import type { Namespaces } from "../../src/core/namespace.ts";
import type { Publication } from "../../src/core/publication.ts";
import { Stats } from "../../src/core/stats.ts";
import { Channel } from "../../src/gateway/channel/channel.ts";
import type { ChannelContext } from "../../src/gateway/channel/channel-context.ts";
import type { SimConnection } from "./connection.ts";
import type { SimServers } from "./server.ts";

/** Whoever is subscribed to a channel of an instance. */
export interface Listener {
  received(publication: Publication): void;
  /** Continuity is broken. */
  lost(): void;
  /** Its connection ends. */
  cutOff(): void;
}

const RING_BYTES = 1024 * 1024;

/** The gateway's own channel, with listeners instead of sockets. */
export class SimChannel extends Channel {
  readonly listeners = new Set<Listener>();

  override publication(publication: Publication): void {
    super.publication(publication);
    for (const listener of [...this.listeners]) listener.received(publication);
  }
}

/** An instance: the NATS driver as it is, on a simulated connection, and the channels of a gateway. */
export class SimInstance {
  readonly name: string;
  readonly stats = new Stats();
  readonly #servers: SimServers;
  readonly #namespaces: Namespaces;
  readonly #log: Logger;
  readonly #channels = new Map<string, SimChannel>();
  #broker: Broker | undefined;
  connection: SimConnection | undefined;

  constructor(name: string, servers: SimServers, namespaces: Namespaces, log: Logger) {
    this.name = name;
    this.#servers = servers;
    this.#namespaces = namespaces;
    this.#log = log;
  }

  get broker(): Broker | undefined {
    return this.#broker;
  }

  /** Starts it; again and again until it can. */
  async start(): Promise<void> {
    const broker = natsBroker({
      servers: ["nats://127.0.0.1:4222"],
      namespaces: this.#namespaces,
      instance: this.name,
      region: "sim",
      log: this.#log,
      stats: this.stats,
      connect: async (options) => {
        const connection = await this.#servers.connect(options);
        this.connection = connection as unknown as SimConnection;
        return connection;
      },
    });
    try {
      await broker.start();
      this.#broker = broker;
    } catch (error) {
      this.#log.warn("start failed", { error });
      await this.#servers.clock.sleep(500);
      await this.start();
    }
  }

  /** Ends it at once: its clients are cut off. */
  async kill(): Promise<void> {
    const broker = this.#broker;
    this.#broker = undefined;
    this.connection?.cut(false);
    for (const channel of this.#channels.values()) {
      for (const listener of [...channel.listeners]) listener.cutOff();
      channel.close();
    }
    this.#channels.clear();
    await broker?.close();
  }

  /** The channel, made when nobody was subscribed to it. */
  channel(name: ChannelName): SimChannel {
    const known = this.#channels.get(name.id);
    if (known) return known;
    const context: ChannelContext<Channel> = {
      broker: this.#broker!,
      fanout: {} as never, // nobody has a socket
      stats: this.stats,
      ringBytes: () => RING_BYTES,
      overgrown: (channel) => channel.trim(),
      inboxDelivered() {},
      slowConsumer() {},
      subscriberOf: () => undefined,
      lost: (channel) => {
        for (const listener of [...(channel as SimChannel).listeners]) listener.lost();
      },
      overloaded: () => false,
    };
    const made = new SimChannel(name, this.#namespaces.get(name.namespace)!, context);
    this.#channels.set(name.id, made);
    return made;
  }

  /** Gives a channel up that nobody is subscribed to. */
  tidy(): void {
    for (const [id, channel] of this.#channels) {
      if (channel.listeners.size > 0 || channel.pins > 0) continue;
      channel.close();
      this.#channels.delete(id);
    }
  }
}

/** Channel `number` of the simulation. */
export function channelOf(number: number): ChannelName {
  return parseChannel(`keep:c${number}`);
}
