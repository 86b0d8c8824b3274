import { createHmac } from "node:crypto";
import Pusher from "pusher";
import { memoryBroker, memoryBus } from "../../src/broker/memory/memory.ts";
import { createLogger } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { readTraceContext } from "../../src/core/trace-context.ts";
import type { Tracing } from "../../src/core/tracing.ts";
import { PusherApps, type PusherWebhook } from "../../src/pusher/apps.ts";
import { pusherTargets } from "../../src/pusher/webhook-target.ts";
import { AddressGuard } from "../../src/webhooks/address-guard.ts";
import { Webhooks } from "../../src/webhooks/delivery.ts";
import { OutboxDesk } from "../../src/webhooks/desk.ts";
import { type EventEndpoint, eventTarget } from "../../src/webhooks/event-target.ts";
import { writeItem } from "../../src/webhooks/item.ts";
import type { WebhookTarget } from "../../src/webhooks/target.ts";
import { SHOP, webhookOf } from "../gateway/fixture.ts";

/** One request to an endpoint. */
export interface Told {
  readonly events: Record<string, unknown>[];
  readonly headers: Headers;
  readonly body: string;
}

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const [KEY] = SHOP.keys;

/** What webhooks of every shape have in common. */
type Choices = Partial<Pick<PusherWebhook, "batch" | "headers" | "channelPrefix">>;

/** The shapes: how a target is made, and whether a request is signed as it must be. */
export const SHAPES: Readonly<
  Record<
    string,
    {
      target(url: string, choices: Choices): WebhookTarget;
      signed(told: Told): boolean;
      id(told: Told): string | null;
    }
  >
> = {
  Pusher: {
    target(url, choices) {
      const webhook = webhookOf(url, choices);
      return pusherTargets(new PusherApps([{ ...SHOP, webhooks: [webhook] }]))[0]!;
    },
    signed({ headers, body }) {
      const sdk = new Pusher({ appId: "1", key: KEY!.key, secret: KEY!.secret, host: "127.0.0.1" });
      return sdk.webhook({ headers: Object.fromEntries(headers), rawBody: body }).isValid();
    },
    id: ({ headers }) => headers.get("trunkline-event-id"),
  },
  events: {
    target: (url, choices) =>
      eventTarget({
        name: "billing",
        secret: SECRET,
        ...webhookOf(url, choices),
      } as EventEndpoint),
    signed({ headers, body }) {
      const text = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`;
      const own = createHmac("sha256", Buffer.alloc(32, 7)).update(text).digest("base64");
      return headers.get("webhook-signature") === `v1,${own}`;
    },
    id: ({ headers }) => headers.get("webhook-id"),
  },
};

interface WorldOptions extends Choices {
  /** What the endpoint answers to these events; default: 200. */
  answer?(events: Told["events"]): number | Promise<number>;
  readonly tries?: number;
  readonly maxAgeMs?: number;
  readonly timeoutMs?: number;
  /** Shortest pause before a request is sent again, ms. */
  readonly pauseMs?: number;
  readonly tracing?: Tracing;
}

/** An outbox in memory, a webhook of a shape, and an endpoint that answers as told. */
export async function webhookWorld(shape: string, options: WorldOptions = {}) {
  const {
    answer,
    tries = 3,
    maxAgeMs = 3_600_000,
    timeoutMs = 300,
    pauseMs = 1,
    tracing,
    ...choices
  } = options;
  const pauses = { firstMs: pauseMs, longestMs: 8 * pauseMs };
  const told: Told[] = [];
  const tried: Told[] = [];
  let answers = answer;
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    async fetch(request) {
      const body = await request.text();
      const { events } = JSON.parse(body) as { events: Told["events"] };
      const one = { events, body, headers: request.headers };
      tried.push(one);
      const status = (await answers?.(events)) ?? 200;
      if (status < 300) told.push(one);
      return new Response("", { status });
    },
  });
  const stats = new Stats();
  const logged: string[] = [];
  const log = createLogger("debug", (line) => logged.push(JSON.stringify(line)));
  const broker = memoryBroker({ bus: memoryBus({ namespaces: new Map() }), instance: "one", log, stats });
  await broker.start();
  const outbox = await broker.outbox({ maxAgeMs, maxItems: 1_000, leaseTtlMs: 6e4, leaseRenewMs: 2e4 });
  const target = SHAPES[shape]!.target(`http://127.0.0.1:${server.port}/hook?secret=1`, choices);
  const deps = {
    targets: [target],
    guard: new AddressGuard(["127.0.0.0/8"]),
    outbox,
    maxAgeMs,
    timeoutMs,
    tries,
    stats,
    tracing,
    log,
    pauses,
  };
  const webhooks = new Webhooks(deps);
  return {
    ...{ told, tried, stats, logged, outbox, webhooks, line: target.line },
    host: new URL(target.url).host,
    desk: new OutboxDesk(outbox, [target]),
    answers(next: NonNullable<typeof answer>) {
      answers = next;
    },
    /** Puts an event into the line, named by its id. @param traceparent what it is a part of */
    put(id: string, timeMs = Date.now(), traceparent?: string) {
      const trace = readTraceContext(traceparent);
      const event = JSON.stringify({ name: "channel_occupied", channel: id });
      outbox.put(target.line, writeItem({ id, timeMs, sinceMs: timeMs, event, trace }), id);
    },
    /** Names of the events that were taken, in order. */
    names: () => told.flatMap(({ events }) => events.map(({ channel }) => String(channel))),
    async [Symbol.asyncDispose]() {
      await webhooks.close();
      await outbox.close();
      await broker.close();
      await server.stop(true);
    },
  };
}
