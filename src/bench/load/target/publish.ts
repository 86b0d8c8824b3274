import { parseChannel } from "../../../core/channel.ts";
import { subjects } from "../../../core/subject.ts";
import type { NatsConnection } from "../../../nats/client.ts";
import { Times } from "../../tally.ts";
import type { Body } from "../client/dialect.ts";
import { nowMs } from "../clock.ts";
import { type Pace, pace } from "../pace.ts";

/** Publishes into channels, as a service does. Messages keep the order of the calls when each call is waited for. */
export interface Publisher extends AsyncDisposable {
  /** @throws Error when the target refuses */
  publish(channel: string, body: Body): Promise<void>;
  /**
   * Listens to a channel on the target's own backend, bypassing the gateway, and times its messages until disposed:
   * this is the backend's share of the latency. `undefined` for a target without a backend.
   */
  listen?(channel: string): Disposable & { readonly times: Times };
}

const TIMEOUT_MS = 5_000;

/** Over HTTP: a `POST` of what `wrap` returns to each of `urls` (processes that do not share messages). */
export function httpPublisher(
  urls: readonly string[],
  wrap: (channel: string, body: Body) => { readonly query?: string; readonly body: unknown },
  headers: Readonly<Record<string, string>> = {},
): Publisher {
  return {
    async publish(channel, message) {
      const { query = "", body } = wrap(channel, message);
      await Promise.all(urls.map((url) => post(`${url}${query}`, body, headers)));
    },
    async [Symbol.asyncDispose]() {},
  };
}

async function post(url: string, body: unknown, headers: Readonly<Record<string, string>>): Promise<void> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  // These server APIs report an error inside an answer with status 200.
  if (!response.ok || text.includes('"error"')) {
    throw new Error(`publishing was refused: HTTP ${response.status} ${text.slice(0, 200)}`);
  }
}

export interface NatsOptions {
  /** Opens a connection that is the publisher's own. */
  readonly connect: () => Promise<NatsConnection>;
  /** First token of the subjects. */
  readonly root: string;
  /** Delete every stream of this root at the end: they were created for this run. */
  readonly ownsStreams: boolean;
}

/** Publishes over plain NATS, as any service would: fire and forget. */
export async function natsPublisher(options: NatsOptions): Promise<Publisher> {
  const names = subjects(options.root);
  const connection = await options.connect();
  return {
    async publish(channel, body) {
      connection.publish(names.message(parseChannel(channel)), JSON.stringify(body));
    },
    listen(channel) {
      const times = new Times();
      const subscription = connection.subscribe(names.live(parseChannel(channel)), {
        callback(_, message) {
          const { dueMs, warm } = message.json<Body>();
          if (!warm) times.record(nowMs() - dueMs);
        },
      });
      return { times, [Symbol.dispose]: () => subscription.unsubscribe() };
    },
    async [Symbol.asyncDispose]() {
      if (options.ownsStreams) await deleteStreams(connection, names.stream("x").slice(0, -1));
      await connection.drain();
    },
  };
}

async function deleteStreams(connection: NatsConnection, prefix: string): Promise<void> {
  const manager = await connection.jetstreamManager();
  for await (const { config } of manager.streams.list()) {
    if (config.name.startsWith(prefix)) await manager.streams.delete(config.name);
  }
}

export interface Schedule extends Pace {
  /** Published to in turn; each has its own numbering. */
  readonly channels: readonly string[];
  /** Number of the first message of each channel. */
  readonly first: number;
  /** The latency of these messages is not counted. */
  readonly warm?: boolean;
}

/** Messages in flight at once, to different channels; messages of one channel never overtake each other. */
const UNDER_WAY = 64;

/**
 * Publishes at a fixed rate. Each message carries the time it was *due*: a target that makes the publisher wait is
 * charged for that wait.
 */
export async function publishAll(
  publisher: Publisher,
  schedule: Schedule,
  signal: AbortSignal,
): Promise<void> {
  const { channels, first, warm } = schedule;
  const window = Math.min(channels.length, UNDER_WAY);
  const underWay: Promise<void>[] = [];
  await pace(schedule, signal, async (i, dueMs) => {
    await underWay[i % window];
    const n = first + Math.floor(i / channels.length);
    const publishing = publisher.publish(channels[i % channels.length]!, { n, dueMs, ...(warm && { warm }) });
    publishing.catch(() => {}); // thrown where it is waited for
    underWay[i % window] = publishing;
  });
  await Promise.all(underWay);
}
