import { expect, test } from "bun:test";
import { connect, headers } from "nats";
import { Checker } from "../../src/bench/check/checker.ts";
import { watched } from "../helpers/checker.ts";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { OPCODE, RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const TEST_MS = 40_000;
const DELAY_MS = 500;

/** The states an instance has been in, in order, from its log. */
const states = ({ lines }: TestInstance) =>
  lines.filter(({ message }) => message === "overload").map(({ state }) => state as string);

const metric = async ({ url }: TestInstance, name: string): Promise<number> => {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  return Number(line?.split(" ").at(-1) ?? 0);
};

/** Holds the process up again and again, for so long each time, until stopped: what a busy event loop looks like. */
function pulses(instance: TestInstance, ms: number): { stop(): Promise<void> } {
  let stopped = false;
  const run = (async () => {
    while (!stopped) {
      instance.signal("SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, ms));
      instance.signal("SIGCONT");
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  })();
  return {
    async stop() {
      stopped = true;
      await run;
    },
  };
}

/** A client that says nothing but its connect. */
async function silent(url: string, user: string): Promise<RawWebSocket> {
  const socket = await RawWebSocket.open(url);
  socket.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user }) } }));
  await socket.take(OPCODE.text);
  return socket;
}

test(
  "a slow event loop sheds: low priority first, then who was silent longest; what is stored stays whole; then calm",
  async () => {
    await using nats = await natsServer();
    await using instance = await startInstance({
      config: {
        overload: { eventLoopDelay: `${DELAY_MS}ms` },
        limits: { commandsPerSecond: 0 },
        // The silent clients answer no ping: none must come while the test runs, however slow the machine.
        ping: { interval: "10m" },
        namespaces: { live: { subscribe: "anyone" } },
      },
      env: { NATS_URL: nats.url },
    });
    const nc = await connect({ servers: nats.url });
    await using _nc = { [Symbol.asyncDispose]: () => nc.close() };
    const idle = await Promise.all(
      Array.from({ length: 50 }, (_, n) => silent(instance.websocket, `idle-${n}`)),
    );
    const checker = new Checker();
    using ann = await watched(checker, instance.websocket, "ann", "chat:whole");
    const live = await ann.client.subscribe("live:typing");
    const priority = (value: string) => {
      const out = headers();
      out.set("Trunkline-Priority", value);
      return { headers: out };
    };
    const publisher = checker.publish({
      channel: "chat:whole",
      from: "service",
      everyMs: 10,
      send: (data) => nc.jetstream().publish("rt.chat.whole", JSON.stringify(data), priority("normal")),
    });
    await publisher.more(20);
    nc.publish("rt.live.typing", '"low while calm"', priority("low"));
    await until(() => live.received.length === 1);

    const began = performance.now();
    const pulse = pulses(instance, DELAY_MS * 1.4);
    await until(() => states(instance).includes("shedding"), { what: "shedding", timeoutMs: 15_000 });
    const sheddingMs = performance.now() - began;
    for (let n = 0; n < 10; n++) {
      nc.publish("rt.live.typing", '"low"', priority("low"));
      nc.publish("rt.live.typing", '"normal"', priority("normal"));
      nc.publish("rt.live.typing", '"none"');
    }
    await until(() => live.received.length >= 21, { what: "what is not low" });
    await until(() => idle.some(({ frames }) => frames.some(({ opcode }) => opcode === OPCODE.close)), {
      what: "idle connections to be let go",
    });
    // Shedding takes who comes; only refusing does not.
    if (!states(instance).includes("refusing")) (await silent(instance.websocket, "new"))[Symbol.dispose]();
    await pulse.stop();
    expect(live.data().filter((body) => body === "low")).toEqual([]);
    expect(await metric(instance, "trunkline_low_priority_dropped_total")).toBe(10);

    await until(() => states(instance).at(-1) === "ok", { what: "calm", timeoutMs: 20_000 });
    const calmMs = performance.now() - began;
    const closed = idle.filter(({ frames }) => frames.some(({ opcode }) => opcode === OPCODE.close));
    for (const socket of closed) expect((await socket.take(OPCODE.close)).readUInt16BE(0)).toBe(3020);
    expect(await metric(instance, 'trunkline_rejected_total{reason="shed"}')).toBe(closed.length);
    expect(ann.reconnects).toBe(0); // it speaks: others go first
    nc.publish("rt.live.typing", '"low again"', priority("low"));
    await until(() => live.data().includes("low again"));
    await publisher.stop();
    await checker.judge();
    console.log(
      `slow event loop: shedding after ${Math.round(sheddingMs)} ms, ${closed.length} of 50 idle connections let go, ` +
        `calm ${Math.round(calmMs)} ms after the first delay; states ${states(instance).join(" → ")}`,
    );
    for (const socket of idle) socket[Symbol.dispose]();
  },
  TEST_MS,
);

test(
  "too much output refuses newcomers with 503, says so in /readyz, and takes them again after",
  async () => {
    await using instance = await startInstance({
      config: { overload: { bytesOutPerSecond: "100KiB", eventLoopDelay: "1m" } },
    });
    const clients = Array.from({ length: 10 }, (_, n) => testClient(instance.websocket, { user: `u${n}` }));
    using _clients = new DisposableStack();
    for (const client of clients) _clients.use(client);
    await Promise.all(clients.map((client) => client.connected()));
    await Promise.all(clients.map((client) => client.subscribe("chat:loud")));
    let loud = true;
    const data = "x".repeat(5_000);
    const shouting = (async () => {
      while (loud) {
        await instance.api("publish", { channel: "chat:loud", data });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    await until(() => states(instance).includes("refusing"), { what: "refusing", timeoutMs: 10_000 });
    expect(states(instance)).toEqual(["shedding", "refusing"]);
    using late = await RawWebSocket.open(instance.websocket);
    expect(late.status).toBe(503);
    expect(Number(/^retry-after: (\d+)$/im.exec(late.head)?.[1])).toBeGreaterThan(0);
    const ready = await fetch(`${instance.url}/readyz`);
    expect([ready.status, await ready.json()]).toMatchObject([
      503,
      { ready: false, reasons: ["overloaded"] },
    ]);
    loud = false;
    await shouting;
    await until(() => states(instance).at(-1) === "ok", { what: "calm", timeoutMs: 20_000 });
    expect(states(instance)).toEqual(["shedding", "refusing", "shedding", "ok"]);
    using again = await silent(instance.websocket, "again");
    expect(again.status).toBe(101);
    expect((await fetch(`${instance.url}/readyz`)).status).toBe(200);
  },
  TEST_MS,
);

test(
  "a process that was held up does not take clients for dead whose answers it has not read yet",
  async () => {
    await using instance = await startInstance({
      config: { ping: { interval: "1s", pongTimeout: "500ms" }, overload: { eventLoopDelay: "1m" } },
    });
    const clients = await Promise.all(
      Array.from({ length: 20 }, (_, n) => silent(instance.websocket, `held-${n}`)),
    );
    // Every ping is answered at once; the process is stopped between a ping and its answer.
    let stopNext = false;
    const answering = setInterval(() => {
      for (const client of clients) {
        for (const { opcode } of client.frames.splice(0)) {
          if (opcode !== OPCODE.text) continue;
          if (stopNext) instance.signal("SIGSTOP");
          stopNext = false;
          client.send("{}");
        }
      }
    }, 5);
    for (let round = 0; round < 2; round++) {
      stopNext = true;
      await until(() => !stopNext);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      instance.signal("SIGCONT");
      const sent = await metric(instance, "trunkline_pings_sent_total");
      await until(async () => (await metric(instance, "trunkline_pings_sent_total")) >= sent + 20);
    }
    clearInterval(answering);
    expect(await metric(instance, "trunkline_dead_peers_total")).toBe(0);
    expect(await metric(instance, "trunkline_connections")).toBe(20);
    for (const client of clients) client[Symbol.dispose]();
  },
  TEST_MS,
);
