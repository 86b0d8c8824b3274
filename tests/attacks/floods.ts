import { connect, type NatsConnection } from "nats";
import { testClient } from "../helpers/clients.ts";
import { answerTo, member, residentBytes, stranger, unharmed } from "../helpers/hostile.ts";
import { callApi, startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { OPCODE, type RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";

/**
 * What each flood costs others: npm run floods -- SECONDS (5) NAME (all). One instance with default limits, over NATS and
 * Redis; for each flood how long an honest client's messages take before it and under it, and the instance's memory before
 * it, at most, and five seconds after it.
 */

const KEY = "flooded-key";
const KB50 = JSON.stringify("x".repeat(50_000));

interface World {
  readonly instance: Pick<TestInstance, "url" | "websocket" | "api">;
  readonly services: NatsConnection;
}

/** Does one thing again and again until `over`, on so many connections or requests at once. */
async function again(
  atOnce: number,
  over: () => boolean,
  once: (n: number) => Promise<unknown>,
): Promise<void> {
  await Promise.all(
    Array.from({ length: atOnce }, async (_, n) => {
      while (!over()) {
        await once(n).catch(() => {});
        await Bun.sleep(0);
      }
    }),
  );
}

/** Frames of members, as fast as they are taken; who is closed comes back. */
function frames(
  atOnce: number,
  make: (n: number) => string | Uint8Array,
  open = (n: number, { instance }: World) => member(instance, `mallory${n}`),
) {
  return async (world: World, over: () => boolean) => {
    let n = 0;
    await again(atOnce, over, async (which) => {
      using client: RawWebSocket = await open(which, world);
      client.ignore();
      while (!over() && !client.ended) {
        const frame = make(n++);
        client.send(frame, typeof frame === "string" ? OPCODE.text : OPCODE.binary);
        await Bun.sleep(1);
      }
    });
  };
}

const lines = (count: number, one: (n: number) => object) =>
  Array.from({ length: count }, (_, n) => JSON.stringify({ id: n + 2, ...one(n) })).join("\n");

/** Channels that nobody follows, with 1 MB each. */
const RICH = Array.from({ length: 60 }, (_, n) => `flood:back-${n}`);

async function fill({ instance, services }: World): Promise<void> {
  for (const channel of RICH) {
    for (let n = 0; n < 20; n++) services.publish(`rt.${channel.replace(":", ".")}`, KB50);
    await services.flush();
    while ((await oldest(instance, channel)).offset === 0) await Bun.sleep(5);
  }
}

/** Where a channel's first message is. */
async function oldest(instance: World["instance"], channel: string) {
  type Page = { readonly epoch: string; readonly publications: readonly { readonly offset: number }[] };
  const { epoch, publications } = await instance.api<Page>("history", { channel, limit: 1 });
  return { epoch, offset: publications[0]?.offset ?? 0 };
}

/** Members of a channel. */
async function inRoom(
  { instance }: World,
  count: number,
  channel: string,
  token: (n: number) => string,
): Promise<RawWebSocket[]> {
  const all = await Promise.all(Array.from({ length: count }, (_, n) => member(instance, `u${n}`, token(n))));
  for (const one of all) one.send(lines(1, () => ({ subscribe: { channel } })));
  await Promise.all(all.map((one) => answerTo(one, 2)));
  return all;
}

/** Twenty users ask who is in a channel, each as often as one connection may. */
async function asked(world: World, over: () => boolean, channel: string): Promise<void> {
  const all = await inRoom(world, 20, channel, (n) => connectionToken({ user: `asker${n}` }));
  for (const one of all) one.ignore();
  while (!over()) {
    for (const one of all) one.send(lines(5, () => ({ presence: { channel } })));
    await Bun.sleep(50);
  }
  for (const one of all) one[Symbol.dispose]();
}

const post = ({ instance }: World, path: string, body: string, headers: Record<string, string> = {}) =>
  fetch(`${instance.url}${path}`, { method: "POST", body, headers }).then((response) =>
    response.arrayBuffer(),
  );

const FLOODS: Readonly<Record<string, (world: World, over: () => boolean) => Promise<void>>> = {
  "connects that go at once": (world, over) =>
    again(50, over, async () => {
      using client = await stranger(world.instance);
      client.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user: "mallory" }) } }));
      await Bun.sleep(5);
    }),
  "malformed frames": frames(
    20,
    () => '{"id":1,"connect":[',
    (_, { instance }) => stranger(instance),
  ),
  "members with one hash": frames(
    10,
    () =>
      `{"id":2,"publish":{"channel":"live:x","data":{${Array.from({ length: 2_000 }, (_, n) => `"${n * 2 ** 32}":0`).join()}}}}`,
  ),
  "Protobuf without end": frames(
    10,
    () => new Uint8Array(60_000).fill(0x0b),
    (_, { instance }) => stranger(instance, { "Sec-WebSocket-Protocol": "centrifuge-protobuf" }),
  ),
  "names nobody used before": frames(20, (n) =>
    lines(20, (at) => ({ subscribe: { channel: `live:${n}.${at}` } })),
  ),
  "messages of 50 KB": frames(20, (n) => `{"id":2,"publish":{"channel":"flood:${n % 60}","data":${KB50}}}`),
  "messages that hardly differ, as differences": frames(
    10,
    (n) =>
      `{"id":2,"subscribe":{"channel":"flood:d","delta":"fossil"}}\n{"id":3,"publish":{"channel":"flood:d","data":"${`${"ab".repeat(4_000)}${n}`}"}}`,
  ),
  "whole histories": frames(10, () => lines(10, () => ({ history: { channel: RICH[0], limit: -1 } }))),
  "coming back to rich channels": async (world, over) => {
    const from = await Promise.all(RICH.map((channel) => oldest(world.instance, channel)));
    await frames(20, (n) => {
      const at = n % RICH.length;
      const subscribe = { channel: RICH[at], recover: true, ...from[at] };
      return `${lines(1, () => ({ subscribe }))}\n{"id":3,"unsubscribe":{"channel":"${RICH[at]}"}}`;
    })(world, over);
  },
  "presence of a channel": frames(
    20,
    () =>
      `{"id":2,"subscribe":{"channel":"chat:crowd"}}\n${lines(20, () => ({ presence: { channel: "chat:crowd" } }))}`,
  ),
  "presence of a channel, within the limits": (world, over) => asked(world, over, "chat:asked"),
  "presence of a large channel, within the limits": async (world, over) => {
    const info = { about: "x".repeat(1_000) };
    const token = (n: number) => connectionToken({ user: `guest${n}`, info });
    const guests = await inRoom(world, 300, "chat:large", token);
    await asked(world, over, "chat:large");
    for (const guest of guests) guest[Symbol.dispose]();
  },
  "calls that nobody answers": async (world, over) => {
    const sub = world.services.subscribe("rtrpc.slow");
    await frames(10, () => lines(10, () => ({ rpc: { method: "slow", data: 1 } })))(world, over);
    sub.unsubscribe();
  },
  "former connections": frames(
    20,
    () =>
      `{"event":"trunkline:resume","data":{"sockets":${JSON.stringify(Array.from({ length: 20 }, () => crypto.randomUUID()))},"channels":{}}}`,
    async (_, { instance }) => {
      const url = `${instance.url.replace("http", "ws")}/app/${KEY}?protocol=7`;
      const { RawWebSocket } = await import("../helpers/raw-websocket.ts");
      return await RawWebSocket.open(url);
    },
  ),
  "guesses of keys": (world, over) =>
    again(50, over, (n) => post(world, "/api/info", "{}", { "x-api-key": `wrong-${n}` })),
  "commands for connections that do not exist": (world, over) =>
    again(50, over, () => post(world, "/emulation", '{"node":"another","session":"x","data":"{}"}')),
  "bad control signals": async ({ services }, over) => {
    while (!over()) {
      for (let n = 0; n < 200; n++) services.publish("rtctl.disconnect", '{"user":1}');
      await services.flush();
      await Bun.sleep(1);
    }
  },
};

/** What must be there before, and costs nobody anything while it is measured. */
const PREPARED: Readonly<Record<string, (world: World) => Promise<void>>> = {
  "whole histories": fill,
  "coming back to rich channels": fill,
};

/** An honest client's messages until `over`: how long each took, ms, in order of length. */
async function honestly(instance: TestInstance, over: () => boolean): Promise<number[]> {
  using client = testClient(instance.websocket, { user: "honest" });
  await client.connected();
  const sub = await client.subscribe("chat:honest");
  const waits: number[] = [];
  for (let n = 0; !over(); n++) {
    const began = performance.now();
    try {
      await client.centrifuge.ready(5_000);
      await client.centrifuge.publish("chat:honest", n);
      while (sub.data().at(-1) !== n && performance.now() < began + 5_000) await Bun.sleep(1);
    } catch {
      // It counts as long as it took.
    }
    waits.push(performance.now() - began);
    await Bun.sleep(20);
  }
  return waits.sort((one, other) => one - other);
}

const at = (waits: readonly number[], part: number) =>
  (waits[Math.min(waits.length - 1, Math.floor(waits.length * part))] ?? Number.NaN).toFixed(1);

const until = (ms: number) => {
  const end = performance.now() + ms;
  return () => performance.now() > end;
};

/** What a process that does nothing but one flood is told. */
interface Order {
  readonly flood: string;
  readonly seconds: number;
  readonly url: string;
  readonly nats: string;
}

/** The flood has a process of its own: how late an honest client is, must not be how busy those are who flood. */
async function floodOf(order: Order): Promise<void> {
  const child = Bun.spawn([process.execPath, import.meta.path], {
    env: { ...process.env, FLOOD: JSON.stringify(order) },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if ((await child.exited) !== 0) throw new Error(`${order.flood} failed`);
}

async function flood({ flood: name, seconds, url, nats }: Order): Promise<void> {
  const services = await connect({ servers: nats });
  const instance: World["instance"] = {
    url,
    websocket: `${url.replace("http", "ws")}/connection/websocket`,
    api: (method, params) => callApi(url, method, params),
  };
  await FLOODS[name]!({ instance, services }, until(seconds * 1_000));
  await services.close();
}

async function measure(seconds: number, only: string | undefined): Promise<void> {
  await using nats = await natsServer();
  await using redis = await redisServer();
  await using instance = await startInstance({
    env: { NATS_URL: nats.url, REDIS_URL: redis.url },
    config: {
      namespaces: {
        flood: {
          ...{ publish: "authenticated", subscribe: "anyone", historyAccess: "anyone", delta: true },
          ...{ history: { size: 200, age: "1m", recoverLimit: 200 }, recovery: "stream" },
        },
      },
      apps: [{ id: "flooded", keys: [{ key: KEY, secret: "flooded-secret-of-tests" }], namespace: "live" }],
    },
  });
  const services = await connect({ servers: nats.url });
  const megabytes = async () => Math.round((await residentBytes(instance)) / 1e6);
  console.log("| flood | p50 without, ms | p99 | p50 under it | p99 | MB before | most | after |");
  console.log("| --- | --: | --: | --: | --: | --: | --: | --: |");
  for (const name of Object.keys(FLOODS)) {
    if (only !== undefined && !name.includes(only)) continue;
    await PREPARED[name]?.({ instance, services });
    const calm = await honestly(instance, until(seconds * 500));
    const before = await megabytes();
    let most = before;
    const meter = setInterval(() => void megabytes().then((now) => (most = Math.max(most, now))), 200);
    let over = false;
    const [waits] = await Promise.all([
      honestly(instance, () => over),
      floodOf({ flood: name, seconds, url: instance.url, nats: nats.url }).finally(() => (over = true)),
    ]);
    await Bun.sleep(5_000);
    clearInterval(meter);
    const cells = [at(calm, 0.5), at(calm, 0.99), at(waits, 0.5), at(waits, 0.99)];
    console.log(`| ${[name, ...cells, before, most, await megabytes()].join(" | ")} |`);
  }
  await services.close();
  await unharmed(instance, [TEST_API_KEY]);
}

const order = process.env.FLOOD;
if (order !== undefined) await flood(JSON.parse(order) as Order);
else await measure(Number(process.argv[2] ?? 5), process.argv[3]);
process.exit(0);
