import { setTimeout as sleep } from "node:timers/promises";
import { connect, type NatsConnection } from "nats";
import { parseChannel } from "../core/channel.ts";
import { subjects } from "../core/subject.ts";
import { nowMs } from "./clock.ts";
import type { Body } from "./dialect.ts";

/** Publishes into the one channel of a run. Messages keep the order of the calls when each call is waited for. */
export interface Publisher extends AsyncDisposable {
  /** @throws Error when the target refuses */
  publish(body: Body): Promise<void>;
}

const TIMEOUT_MS = 5_000;

/** Over HTTP: `POST url` with what `wrap` makes of a body. */
export function httpPublisher(
  url: string,
  wrap: (body: Body) => unknown,
  headers: Readonly<Record<string, string>> = {},
): Publisher {
  return {
    async publish(body) {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(wrap(body)),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await response.text();
      // The server API answers with 200 and an error inside.
      if (!response.ok || text.includes('"error"')) {
        throw new Error(`publishing was refused: HTTP ${response.status} ${text.slice(0, 200)}`);
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

export interface NatsOptions {
  readonly servers: readonly string[];
  /** First token of the subjects. */
  readonly root: string;
  /** Delete every stream of this root at the end: they belong to this run alone. */
  readonly ownsStreams: boolean;
}

/** Over plain NATS, as any service would: fire and forget. */
export async function natsPublisher(options: NatsOptions, channel: string): Promise<Publisher> {
  const names = subjects(options.root);
  const subject = names.message(parseChannel(channel));
  const connection = await connect({ servers: [...options.servers] });
  return {
    async publish(body) {
      connection.publish(subject, JSON.stringify(body));
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

export interface Schedule {
  /** Number of the first message. */
  readonly first: number;
  readonly count: number;
  readonly ratePerSecond: number;
}

/** A timer is about this late; what is left is waited for with the processor, to publish when it is due. */
const TIMER_SLACK_MS = 2;
/** Waiting with the processor would use it up when messages are closer together. */
const SPIN_FROM_MS = 10;

/**
 * Publishes at a fixed rate. Each message carries the time it was *due*, whenever it gets out: a target that makes the
 * publisher wait is charged for it (no coordinated omission).
 */
export async function publishAll(
  publisher: Publisher,
  schedule: Schedule,
  signal: AbortSignal,
): Promise<void> {
  const intervalMs = 1000 / schedule.ratePerSecond;
  const slackMs = intervalMs >= SPIN_FROM_MS ? TIMER_SLACK_MS : 0;
  const startMs = nowMs() + intervalMs;
  for (let i = 0; i < schedule.count; i++) {
    const dueMs = startMs + i * intervalMs;
    const waitMs = dueMs - nowMs() - slackMs;
    if (waitMs > 0) await sleep(waitMs, undefined, { signal });
    else signal.throwIfAborted();
    while (slackMs > 0 && nowMs() < dueMs);
    await publisher.publish({ n: schedule.first + i, dueMs });
  }
}
