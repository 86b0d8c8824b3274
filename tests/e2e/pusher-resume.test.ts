import { expect, test } from "bun:test";
import { connect } from "nats";
import { resume } from "../../src/console/pusher-resume.js";
import { freePort } from "../../src/process/ports.ts";
import { balancer } from "../helpers/balancer.ts";
import { startInstance } from "../helpers/instances.ts";
import { PUSHER_CONFIG, pusherClient, pusherServer } from "../helpers/pusher-clients.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const CHANNELS = ["room-1", "private-2", "presence-3"];

test("with the add-on a stock client misses nothing and gets nothing twice: kill -9, restart, drain", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  const ports = [await freePort(), await freePort()] as const;
  await using front = await balancer(ports);
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  const start = (port: number) =>
    startInstance({ config: PUSHER_CONFIG, env: { ...env, PORT: String(port) } });
  await using a = await start(ports[0]);
  await using b = await start(ports[1]);
  await using later = new AsyncDisposableStack();
  const address = `http://127.0.0.1:${front.port}`;
  using one = pusherClient(address, { user: "ann" });
  resume(one.pusher);
  using plain = pusherClient(address, { user: "bob" });
  const got = new Map<string, number[]>(CHANNELS.map((name) => [name, []]));
  for (const name of CHANNELS) {
    const channel = await one.subscribe(name);
    channel.bind("message", ({ n }: { n: number }) => got.get(name)!.push(n));
    channel.bind("trunkline:position", ({ recovered }: { recovered: boolean }) =>
      expect(recovered).toBe(true),
    );
    await plain.subscribe(name);
  }

  const nc = await connect({ servers: nats.url });
  await using _nc = { [Symbol.asyncDispose]: () => nc.close() };
  let sent = 0;
  const publish = () => {
    sent++;
    for (const name of CHANNELS) nc.publish(`rt.shop.${name}`, `{"n":${sent}}`);
    // What is not kept must not be counted.
    if (sent % 7 === 0) plain.pusher.send_event("client-noise", {}, "private-2");
  };
  const flow = setInterval(publish, 5);
  try {
    await until(() => got.get("room-1")!.length > 100);
    await a.kill();
    await until(() => one.states.filter((state) => state === "connected").length === 2, {
      what: "b to take over",
    });
    const seen = got.get("private-2")!.length;
    await until(() => got.get("private-2")!.length > seen + 100);
    const again = later.use(await start(ports[0]));
    expect(await b.terminate()).toBe(0);
    await until(() => one.states.filter((state) => state === "connected").length === 3, {
      what: "a to be back",
    });
    await until(() => got.get("presence-3")!.length > seen + 200);
    expect(again.output.join("\n")).not.toContain('"level":"error"');
  } finally {
    clearInterval(flow);
  }
  await nc.flush();
  const all = Array.from({ length: sent }, (_, index) => index + 1);
  for (const name of CHANNELS) {
    await until(() => got.get(name)!.at(-1) === sent, { what: `the last message of ${name}` });
    expect(got.get(name)).toEqual(all);
  }
  // Without the add-on a client goes on with what comes.
  const stock = plain.data("message", "room-1").map((data) => (data as { n: number }).n);
  expect(stock.length).toBeLessThan(sent);
  expect(new Set(stock).size).toBe(stock.length);
  expect(plain.got("trunkline:position")).toEqual([]);
}, 60_000);

test("what a connection was left out of does not come when it resumes, and a lost past is told", async () => {
  await using a = await startInstance({
    config: {
      ...PUSHER_CONFIG,
      namespaces: {
        ...PUSHER_CONFIG.namespaces,
        shop: { ...PUSHER_CONFIG.namespaces.shop, history: { size: 20, age: "1h" } },
      },
    },
  });
  const publish = (n: number) => a.api("publish", { channel: "shop:room", data: { n } });
  using one = pusherClient(a);
  resume(one.pusher);
  await one.subscribe("room");
  const server = pusherServer(a.url);
  await publish(1);
  await one.receives(1, "message");
  const { socketId } = one;
  // As a network would: the link is cut, and the client comes back by itself after a second.
  (one.pusher.connection as unknown as { connection: { close(): void } }).connection.close();
  await server.trigger("room", "message", { n: 2 }, { socket_id: socketId });
  await publish(3);
  await one.receives(2, "message");
  expect(one.data("message")).toEqual([{ n: 1 }, { n: 3 }]);
  expect(one.data("trunkline:position").map((data) => (data as { recovered: boolean }).recovered)).toEqual([
    true,
    true,
  ]);
  (one.pusher.connection as unknown as { connection: { close(): void } }).connection.close();
  for (let n = 10; n < 50; n++) await publish(n);
  await one.receives(3, "trunkline:position");
  expect(one.data("trunkline:position")[2]).toMatchObject({ recovered: false });
}, 30_000);
