import { randomBytes } from "node:crypto";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { startStack } from "../src/bench/load/target/stack.ts";
import { launch, OWN_SETTINGS, readMetrics } from "../src/bench/load/target/trunkline.ts";
import { tokenMaker } from "../src/bench/tokens.ts";
import { print, printError } from "../src/cli/output.ts";
import { connect, headers, type NatsConnection } from "../src/nats/client.ts";
import { Children } from "../src/process/children.ts";
import { LOOPBACK } from "../src/process/ports.ts";
import { overloadReport, type Priority, type Seen, Watcher } from "./overload-watch.ts";

/*
 * What an overloaded instance does with messages of each priority: `npm run bench:overload`, half a minute. The instance is
 * held up again and again, as on a machine that others use up; it sheds, and goes back to normal when that is over.
 */

const CHANNEL = "prices:all";
const CLIENTS = 20;
const IDLE = 100;
const EVERY_MS = 20;
const KEYS = 5;
/** Of each ten messages. */
const PRIORITIES: readonly Priority[] = [
  ...(["normal", "low", "normal", "normal", "high"] as const),
  ...(["normal", "low", "normal", "normal", "normal"] as const),
];
const CALM_MS = 5_000;
const SHED_MS = 10_000;
/** It sheds from the first on. Held up for the second, again and again; free for the third. */
const [DELAY_MS, HELD_MS, FREE_MS] = [100, 140, 300];
const PATIENCE_MS = 30_000;

const settings = {
  ...OWN_SETTINGS,
  host: LOOPBACK,
  log: { level: "warn" },
  // The idle answer no ping.
  ping: { interval: "10m", pongTimeout: "1m" },
  overload: { eventLoopDelay: `${DELAY_MS}ms` },
  namespaces: {
    prices: {
      history: { size: 10_000, age: "10m" },
      recovery: "stream",
      subscribe: "anyone",
      ...{ window: "200ms", conflate: "key", windowWhen: "overloaded" },
    },
  },
};

const children = new Children();
try {
  process.exitCode = (await run()) ? 0 : 1;
} catch (error) {
  printError(String((error as Error).stack ?? error));
  process.exitCode = 1;
} finally {
  children.kill();
  await children[Symbol.asyncDispose]();
}
process.exit();

async function run(): Promise<boolean> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-overload-"));
  children.watchFolder(dir);
  const stack = await startStack(children);
  const file = join(dir, "config.json");
  await writeFile(file, JSON.stringify(settings));
  const secret = randomBytes(32).toString("hex");
  const { port, pid } = await launch(children, {
    ...{ PATH: process.env.PATH, HOME: process.env.HOME, TRUNKLINE_CONFIG: file },
    ...{ NATS_URL: stack.natsUrl, REDIS_URL: stack.redisUrl, TRUNKLINE_TOKEN_SECRET: secret },
    TRUNKLINE_HTTP_PUBLIC_METRICS: "true",
  });
  const token = tokenMaker({ secret, users: "own" });
  const url = `ws://${LOOPBACK}:${port}/connection/websocket`;
  const idle = Array.from({ length: IDLE }, (_, number) => silent(url, token(10_000 + number)));
  await Promise.all(idle);
  const watchers = Array.from({ length: CLIENTS }, (_, number) => new Watcher(url, CHANNEL, token(number)));
  await Promise.all(watchers.map((watcher) => watcher.subscribed()));
  const nats = await connect({ servers: stack.natsUrl });
  const publishing = new Publishing(nats);

  await publishing.phase("calm", CALM_MS);
  const pulse = heldUp(pid);
  await publishing.until("between", () => sheds(port, true));
  const before = watchers[0]!.position();
  await publishing.phase("overloaded", SHED_MS);
  await publishing.phase("between", 500);
  await pulse.stop();
  await publishing.until("between", () => sheds(port, false));
  await publishing.phase("calm again", CALM_MS);
  await sleep(1_000);

  const late = new Watcher(url, CHANNEL, token(CLIENTS), before);
  await late.subscribed();
  await sleep(500);
  const page = await readMetrics(`http://${LOOPBACK}:${port}`);
  const { lines, good } = overloadReport({
    published: publishing.published,
    watchers: watchers.map(({ seen }) => seen),
    late: late.seen,
    leftOut: counter(page, "trunkline_low_priority_dropped_total"),
    conflated: counter(page, "trunkline_conflated_total"),
    letGo: counter(page, 'trunkline_rejected_total{reason="shed"}'),
    idle: IDLE,
  });
  print(lines.join("\n"));
  return good;
}

function counter(page: string, name: string): number {
  const line = page.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

/** Connects, and says nothing more. */
function silent(url: string, token: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = new WebSocket(url);
  socket.onopen = () => socket.send(JSON.stringify({ id: 1, connect: { token } }));
  socket.onmessage = () => resolve();
  socket.onerror = () => reject(new Error("an idle client could not connect"));
  return promise;
}

async function sheds(port: number, wanted: boolean): Promise<boolean> {
  const page = await readMetrics(`http://${LOOPBACK}:${port}`).catch(() => undefined);
  return page !== undefined && (counter(page, 'trunkline_overload_state{state="ok"}') === 0) === wanted;
}

/** Stops a process for a while, again and again. */
function heldUp(pid: number): { stop(): Promise<void> } {
  let stopped = false;
  const running = (async () => {
    while (!stopped) {
      process.kill(pid, "SIGSTOP");
      await sleep(HELD_MS);
      process.kill(pid, "SIGCONT");
      await sleep(FREE_MS);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await running;
    },
  };
}

/** Publishes at a steady rate, and keeps what it has published. */
class Publishing {
  readonly published: Seen[] = [];
  readonly #nats: NatsConnection;

  constructor(nats: NatsConnection) {
    this.#nats = nats;
  }

  async phase(phase: Seen["phase"], ms: number): Promise<void> {
    const end = performance.now() + ms;
    await this.#publishUntil(phase, () => performance.now() >= end);
  }

  /** Asks, once a second. */
  async until(phase: Seen["phase"], done: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    let isDone = false;
    const asking = (async () => {
      while (!isDone && performance.now() < end) {
        await sleep(200);
        isDone = await done();
      }
    })();
    await this.#publishUntil(phase, () => isDone || performance.now() >= end);
    await asking;
    if (!isDone) throw new Error("the instance has not changed its state in time");
  }

  async #publishUntil(phase: Seen["phase"], done: () => boolean): Promise<void> {
    while (!done()) {
      const n = this.published.length;
      const priority = PRIORITIES[n % PRIORITIES.length]!;
      const seen = { n, phase, priority, key: `k${n % KEYS}` };
      const out = headers();
      out.set("Trunkline-Priority", priority);
      out.set("Trunkline-Tag-key", seen.key);
      this.published.push(seen);
      this.#nats.publish(`${OWN_SETTINGS.nats.root}.${CHANNEL.replace(":", ".")}`, JSON.stringify(seen), {
        headers: out,
      });
      await sleep(EVERY_MS);
    }
  }
}
