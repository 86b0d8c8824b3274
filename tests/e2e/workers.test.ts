import { expect, test } from "bun:test";
import { freePort } from "../../src/process/ports.ts";
import { type TestClient, testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { type InstanceOptions, startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const CHANNEL = "chat:workers";
const CLIENTS = 24;

/** A first port such that it and the next ones are free, most likely. */
const adminPort = (await freePort()) - 3;
const admin = (worker: number, path: string) => fetch(`http://127.0.0.1:${adminPort + worker}${path}`);

/** @param from whose port is asked: 0 is the supervisor's */
async function metric(worker: number, name: string, from = 0): Promise<number> {
  const page = await (await admin(from, "/metrics")).text();
  return Number(new RegExp(`^trunkline_${name}\\{worker="${worker}"\\} (\\S+)$`, "m").exec(page)?.[1]);
}

/** The process that is worker n now. */
async function pidOf(supervisor: TestInstance, worker: number): Promise<number> {
  const children = await Bun.file(`/proc/${supervisor.pid}/task/${supervisor.pid}/children`).text();
  for (const pid of children.trim().split(" ").map(Number)) {
    const words = (await Bun.file(`/proc/${pid}/cmdline`).text()).split("\0");
    if (words[words.indexOf("--worker") + 1] === String(worker)) return pid;
  }
  throw new Error(`no worker ${worker} among ${children}`);
}

async function crowd(url: string) {
  const clients: TestClient[] = [];
  const got: unknown[][] = [];
  for (let n = 0; n < CLIENTS; n++) {
    const client = testClient(url, { user: `user-${n}` });
    clients.push(client);
    await client.connected();
    const { received } = await client.subscribe(CHANNEL, { recoverable: true });
    got.push(received);
  }
  return { clients, data: () => got.map((list) => list.map((one) => (one as { data: unknown }).data)) };
}

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test("two workers share a port: both get clients, a killed one is started again, and all drain", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  const options: InstanceOptions = {
    config: { presence: { leaseTtl: "3s", leaseRenew: "500ms" } },
    env: {
      NATS_URL: nats.url,
      REDIS_URL: redis.url,
      INSTANCE_ID: "machine",
      TRUNKLINE_WORKERS: "2",
      TRUNKLINE_ADMIN_PORT: `${adminPort}`,
    },
  };
  await using both = await startInstance(options);
  const listening = both.lines.filter(({ message }) => message === "listening");
  expect(listening).toMatchObject([{ workers: 2, instance: "machine", url: both.url }]);
  expect(
    both.lines
      .filter(({ message }) => message === "worker listening")
      .map((one) => one.instance)
      .sort(),
  ).toEqual(["machine-1", "machine-2"]);

  const { clients, data } = await crowd(both.websocket);
  using _clients = { [Symbol.dispose]: () => clients.forEach((client) => void client[Symbol.dispose]()) };
  const spread = [await metric(1, "connections"), await metric(2, "connections")];
  expect(spread[0]! + spread[1]!).toBe(CLIENTS);
  expect(Math.min(...spread)).toBeGreaterThan(0);
  // One scrape has all workers, whoever is asked.
  for (const from of [1, 2]) {
    expect([await metric(1, "connections", from), await metric(2, "connections", from)]).toEqual(spread);
  }
  const shared = await (await fetch(`${both.url}/metrics`)).text();
  expect(shared.match(/^# TYPE trunkline_connections /gm)).toHaveLength(1);
  expect(shared.match(/^trunkline_worker_up\{worker="."\} 1$/gm)).toHaveLength(2);
  for (const from of [0, 1]) expect((await admin(from, "/readyz")).status).toBe(200);
  expect((await admin(2, "/healthz")).status).toBe(200);
  // Nothing of the clients' is on the second port.
  expect((await admin(1, "/connection/websocket")).status).toBe(404);
  expect((await admin(1, "/api/info")).status).toBe(404);

  await both.api("publish", { channel: CHANNEL, data: 1 });
  await until(() => data().every((list) => list.length === 1), {
    what: "everybody to have the first message",
  });

  const killed = await pidOf(both, 1);
  process.kill(killed, "SIGKILL");
  await until(() => !alive(killed));
  // It is said to be dead until it is back.
  expect([await metric(1, "worker_up", 2), await metric(2, "worker_up", 2)]).toEqual([0, 1]);
  // Clients of the killed one may have come to it by now.
  expect(await metric(2, "connections", 2)).toBeGreaterThanOrEqual(spread[1]!);
  // The other one takes it, whatever the kernel still had for the dead one.
  const again = () => both.api("publish", { channel: CHANNEL, data: 2, idempotency_key: "two" });
  await until(async () => (await again().catch(() => undefined)) !== undefined);
  await until(() => data().every((list) => list.length === 2), {
    what: "everybody to have the second message",
  });
  expect(data()).toEqual(Array.from({ length: CLIENTS }, () => [1, 2]));

  await until(async () => (await metric(1, "connections").catch(() => -1)) >= 0, {
    what: "worker 1 to be back",
  });
  expect(await metric(1, "worker_ends_total")).toBe(1);
  expect(await pidOf(both, 1)).not.toBe(killed);
  expect(both.lines.filter(({ message }) => message === "a worker has ended")).toMatchObject([
    { level: "error", worker: 1, signal: "SIGKILL", restartMs: 250 },
  ]);
  await until(async () => (await both.api("presence_stats", { channel: CHANNEL })).num_clients === CLIENTS);

  // A group of processes is often signalled as a whole: that is one signal for each, and no second one.
  const pids = [await pidOf(both, 1), await pidOf(both, 2)];
  process.kill(pids[1]!, "SIGTERM");
  expect(await both.terminate()).toBe(0);
  expect(pids.filter(alive)).toEqual([]);
  const drained = both.lines.filter(({ message }) => message === "drained");
  expect(drained).toHaveLength(2);
}, 30_000);

test("workers outlive no supervisor, and a second signal does not wait", async () => {
  await using nats = await natsServer();
  const env = { NATS_URL: nats.url, TRUNKLINE_WORKERS: "2" };
  const orphaned = async (end: (both: TestInstance) => Promise<unknown>) => {
    await using both = await startInstance({ env, config: { drain: { ratePerSecond: 1, deadline: "1m" } } });
    using one = testClient(both.websocket, { user: "one", minReconnectDelay: 60_000 });
    using two = testClient(both.websocket, { user: "two", minReconnectDelay: 60_000 });
    await Promise.all([one.connected(), two.connected()]);
    const pids = [await pidOf(both, 1), await pidOf(both, 2)];
    const outcome = await end(both);
    await until(() => !pids.some(alive), { what: "the workers to be gone" });
    return outcome;
  };
  await Promise.all([
    orphaned((both) => both.kill()),
    orphaned(async (both) => {
      both.signal("SIGTERM");
      await until(() => both.lines.some(({ message }) => message === "leaving"));
      return await both.terminate();
    }).then((code) => expect(code).toBe(1)),
  ]);
}, 30_000);

async function serve(args: readonly string[], env: Record<string, string>, runtime?: "deno") {
  const { out, err, code } = await trunkline(["serve", ...args], {
    env: { TRUNKLINE_HOST: "127.0.0.1", TRUNKLINE_TOKEN_SECRET: TEST_SECRET, ...env },
    ...(runtime && { runtime }),
  });
  return { text: out + err, code };
}

test("what several workers cannot run on is refused, with what to set", async () => {
  const taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const takenPort = taken.port;
  const NATS_URL = "nats://127.0.0.1:1";
  const [embedded, full, alone, crowded, deno] = await Promise.all([
    serve(["--workers", "2"], { PORT: "0" }),
    serve(["--workers", "2"], { PORT: `${taken.port}`, NATS_URL }),
    serve(["--worker", "1"], { PORT: "0" }),
    serve(["--workers", "0"], { PORT: "0", NATS_URL }),
    serve(["--workers", "2"], { PORT: "0", NATS_URL }, "deno"),
  ]);
  await taken.stop(true);
  for (const { code } of [embedded, full, alone, crowded, deno]) expect(code).toBe(1);
  expect(embedded.text).toContain(
    "with the embedded broker each worker would be an island; set nats.urls (NATS_URL)",
  );
  expect(full.text).toContain(`cannot listen on 127.0.0.1, port ${takenPort}`);
  expect(alone.text).toContain("set nats.urls (NATS_URL)");
  expect(crowded.text).toContain("workers (flag): it must be a whole number from 1 to 1024");
  expect(deno.text).toContain("deno run -A --unstable-net");
});
