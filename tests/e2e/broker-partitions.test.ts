import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { connect, headers, type NatsConnection } from "nats";
import { accountConfig, mappings } from "../../src/cli/nats/account.ts";
import { MAX_CHANNEL_LENGTH } from "../../src/core/channel.ts";
import { NAMESPACE_DEFAULTS, type Namespaces } from "../../src/core/namespace.ts";
import { subjects } from "../../src/core/subject.ts";
import { testClient } from "../helpers/clients.ts";
import { doctor } from "../helpers/doctor.ts";
import { startInstance } from "../helpers/instances.ts";
import { passwordOf, withPasswords } from "../helpers/nats-roles.ts";
import { natsServer, type TestServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** Namespaces whose channels are divided among several streams, on a server with the account we print. */

const PARTITIONS = 5;
const NAMES = 3_000;
const at = subjects();
const namespaces: Namespaces = new Map([
  [
    "chat",
    {
      ...NAMESPACE_DEFAULTS,
      name: "chat",
      history: { size: 100, ageMs: 600_000, recoverLimit: 100, replicas: 1 },
      partitions: PARTITIONS,
    },
  ],
]);
const config = { namespaces: { chat: { partitions: PARTITIONS } } };

let stack: AsyncDisposableStack;
let nats: TestServer;
/** Logged in as a service, with no right beyond those of one. */
let service: NatsConnection;
let env: Record<string, string>;

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  nats = stack.use(await natsServer(withPasswords(accountConfig({ root: "rt", namespaces }))));
  env = {
    NATS_URL: nats.url,
    TRUNKLINE_NATS_USER: "gateway",
    TRUNKLINE_NATS_PASSWORD: passwordOf("gateway"),
  };
  service = await connect({
    servers: nats.url,
    user: "publisher",
    pass: passwordOf("publisher"),
    inboxPrefix: "rtinbox.publisher",
  });
  stack.defer(() => service.close());
}, 30_000);

afterAll(() => stack.disposeAsync());

test("nats-server divides names as we do, whatever stands in them", async () => {
  const gateway = await connect({ servers: nats.url, user: "gateway", pass: passwordOf("gateway") });
  const seen: string[] = [];
  gateway.subscribe("rt.>", { callback: (_, message) => void seen.push(message.subject) });
  await gateway.flush();
  const unit = fc.oneof(
    fc.constantFrom(..." .*>%\r\n\t\0\u0085\u2028$:{}(),AZ29aéü😀"),
    fc.constantFrom(".", "a.b", "%2E", "{{wildcard(1)}}", "$1"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
  );
  const name = fc
    .array(unit, { minLength: 1, maxLength: 30 })
    .map((units) => units.join("").slice(0, MAX_CHANNEL_LENGTH - 5))
    .filter((text) => text.isWellFormed());
  const channels = fc.sample(name, NAMES).map((text) => ({ namespace: "chat", name: text }));
  for (let depth = 1; depth <= 20; depth++)
    channels.push({ namespace: "chat", name: `a${".ü".repeat(depth)}` });
  for (const channel of channels) service.publish(at.message(channel));
  await service.flush();
  await until(() => seen.length >= channels.length, { what: "every name" });
  expect(seen).toEqual(channels.map((channel) => at.stored(channel, PARTITIONS)));
  await gateway.close();
});

test("a service publishes plainly, and a stock client gets it, recovers it, reads and clears it", async () => {
  await using instance = await startInstance({ config, env });
  using client = testClient(instance.websocket, { user: "ann" });
  await client.connected();
  const rooms = Array.from({ length: 12 }, (_, index) => `room.${index}`);
  const subs = await Promise.all(rooms.map((room) => client.subscribe(`chat:${room}`)));
  const streams = new Set<string>();
  for (const [index, room] of rooms.entries()) {
    const ack = await service.request(`rt.chat.${room}`, JSON.stringify({ n: index }));
    streams.add(ack.json<{ stream: string }>().stream);
  }
  expect([...streams].every((name) => /^RT_chat_p[0-4]of5$/.test(name))).toBe(true);
  expect(streams.size).toBeGreaterThan(2);
  await until(() => subs.every((sub) => sub.data().length === 1), { what: "the first messages" });

  client.centrifuge.disconnect();
  for (const room of rooms) service.publish(`rt.chat.${room}`, '{"n":"missed"}');
  await service.flush();
  await client.connected();
  await until(() => subs.every((sub) => sub.data().length === 2), { what: "what was missed" });
  for (const sub of subs) {
    expect(sub.subscribed.at(-1)).toMatchObject({ wasRecovering: true, recovered: true });
    expect(sub.data()[1]).toEqual({ n: "missed" });
  }

  const { publications } = await instance.api<{ publications: unknown[] }>("history", {
    channel: "chat:room.3",
    limit: 10,
  });
  expect(publications).toHaveLength(2);
  await instance.api("history_remove", { channel: "chat:room.3" });
  const after = await instance.api<{ publications?: unknown[] }>("history", {
    channel: "chat:room.3",
    limit: 10,
  });
  expect(after.publications ?? []).toHaveLength(0);
  const report = await doctor({ env, config });
  expect(report.one("partitions of chat")).toMatchObject({ verdict: "ok" });
}, 30_000);

test("another number of partitions than there are streams of stops the start, and says what to do", async () => {
  const other = { namespaces: { chat: { partitions: 2 } } };
  await expect(startInstance({ config: other, env })).rejects.toThrow(
    /chat is to have 2 partitions, and RT_chat_p0of5, .* hold another number.*nats stream rm -f RT_chat_p0of5/,
  );
  expect((await doctor({ env, config: other })).one("partitions of chat")).toMatchObject({
    verdict: "failed",
    fix: expect.stringContaining("nats stream rm -f RT_chat_p0of5"),
  });
}, 30_000);

test("without the mapping, or with one that is left over, nothing starts", async () => {
  await using plain = await natsServer();
  const missing = { NATS_URL: plain.url };
  await expect(startInstance({ config, env: missing })).rejects.toThrow(
    /rt\.chat\.> must get to rt\.%\.chat\.5\..*gets to rt\.chat\.%.*trunkline config --nats/,
  );
  expect((await doctor({ env: missing, config })).one("partitions of chat")).toMatchObject({
    verdict: "failed",
    what: "the subject mapping is wrong",
  });
  await using mapped = await natsServer(mappings(at, namespaces).join("\n"));
  await expect(startInstance({ env: { NATS_URL: mapped.url } })).rejects.toThrow(
    /Take the mappings of rt\.chat/,
  );
}, 30_000);

test("what only asks where messages go is stored nowhere", async () => {
  const out = headers();
  out.set("Nats-Expected-Stream", "%");
  const answer = await service.request("rt.chat.%probe", "", { headers: out, timeout: 2_000 });
  expect(answer.json<{ error?: { err_code: number } }>().error?.err_code).toBe(10060);
});
