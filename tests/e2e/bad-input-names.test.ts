import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, type NatsConnection } from "nats";
import { channelId, MAX_CHANNEL_LENGTH, USER_NAMESPACE } from "../../src/core/channel.ts";
import { decodeTail, encodeTail, subjects } from "../../src/core/subject.ts";
import { receives, testClient } from "../helpers/clients.ts";
import { answerTo, LOUD, member, metric, stranger, unharmed, verdict } from "../helpers/hostile.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken, subscriptionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Names that mean something to NATS, Redis, JavaScript or a terminal, over JetStream and Redis. */

const NAMES = [
  ...[
    "*",
    ">",
    "a.*",
    "a.>",
    "*.*",
    ".",
    "..",
    ".a",
    "a.",
    "a..b",
    " ",
    "a b",
    " a",
    "a ",
    "%",
    "%2E",
    "%0D%0A",
    "a%",
  ],
  ...["\r\n", "a\r\nPUB evil.one 2\r\nhi\r\n", "x 2\r\nhi\r\nPUB evil.two 2\r\nhi", "a\nb", "a\rb", "a\tb"],
  ...[
    "\0",
    "a\0b",
    "\u0001",
    "\u001b[2J",
    "\u007f",
    "\u0085",
    "\u2028",
    "\u202e",
    "\ufeff",
    "\ufffd",
    "\uffff",
  ],
  ...["größe", "gro\u0308ße", "日本", "🙂", "👩‍👩‍👧", "ى", "İ", "K"],
  ...[
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "toString",
    "then",
    "null",
    "undefined",
    "NaN",
    "-1",
    "0",
  ],
  ...[
    "$SYS.REQ.SERVER.PING",
    "$JS.API.STREAM.DELETE.RT_chat",
    "_INBOX.a.b",
    "rtctl.disconnect",
    "a:b",
    ":",
    "::a",
    "#a",
  ],
  ...[
    "{a}",
    "a|b",
    "a*b",
    "tl:inst:x",
    "'; DROP TABLE users; --",
    "$\u007bjndi:ldap://x}",
    "<script>",
    '"',
    "\\",
    "\\u0000",
  ],
  "x".repeat(MAX_CHANNEL_LENGTH - "chat:".length),
  "日".repeat(MAX_CHANNEL_LENGTH - "chat:".length),
  "\r".repeat(MAX_CHANNEL_LENGTH - "chat:".length),
];

/** What no name may be, as JSON text, and the error it gets. */
const REFUSED: readonly (readonly [name: string, code: number])[] = [
  [JSON.stringify("x".repeat(MAX_CHANNEL_LENGTH + 1)), 107],
  [JSON.stringify("x".repeat(60_000)), 107],
  [JSON.stringify(`chat:${"日".repeat(MAX_CHANNEL_LENGTH)}`), 107],
  ['"chat:\\ud800"', 107],
  ['"chat:\\udc00\\ud800"', 107],
  ['"chat:"', 107],
  ['":"', 107],
  ['":x"', 107],
  ['"default:x"', 107],
  ['"__proto__:x"', 102],
  ['"$__proto__:x"', 102],
  ['"chat:$x"', 107],
  ['"$chat:"', 107],
  ['"$:x"', 107],
  ['"$user:x"', 107],
  ['"$$chat:x"', 107],
  ['"constructor:x"', 102],
  ['"nowhere:x"', 102],
  ['"Chat:x"', 102],
  ['"*:x"', 107],
  ['">:x"', 107],
  ['"chat\\r\\n:x"', 107],
  ['"chat.room:x"', 102],
  ['".chat:x"', 107],
  ['" chat:x"', 107],
];

const subject = subjects();
let stack: AsyncDisposableStack;
let nc: NatsConnection;
let a: TestInstance;
let b: TestInstance;
/** Every subject anything was published on while the tests ran. */
const seen: string[] = [];

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  const nats = stack.use(await natsServer());
  const redis = stack.use(await redisServer());
  const config = {
    ...LOUD,
    rpc: { timeout: "50ms" },
    limits: { channels: 1_000, commandsPerSecond: 0, connectsPerIpPerSecond: 0 },
    namespaces: { default: { publish: "subscriber", presence: true }, live: { publish: "subscriber" } },
  };
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  a = stack.use(await startInstance({ config, env }));
  b = stack.use(await startInstance({ config, env }));
  nc = await connect({ servers: nats.url });
  stack.defer(() => nc.close());
  nc.subscribe(">", { callback: (_error, message) => void seen.push(message.subject) });
  await nc.flush();
}, 60_000);

afterAll(async () => {
  await using _ = stack;
  for (const instance of [a, b]) {
    await unharmed(instance);
    expect(await metric(instance, "trunkline_broker_reconnects_total")).toBe(0);
    expect(
      instance.lines.filter(
        ({ message }) => /NATS/.test(String(message)) && /error|lost/.test(String(message)),
      ),
    ).toEqual([]);
  }
});

/** The subjects seen so far that are no plumbing of the product or of JetStream. */
const foreign = () =>
  seen.filter((one) => !/^(rtl?\.|rtinbox\.|rtrpc\.|rtevt\.|rtctl\.|_INBOX\.|\$JS\.)/.test(one));

for (const namespace of ["chat", "live", "default"]) {
  test(`any name is a ${namespace} channel of its own, and nothing else on NATS`, async () => {
    // Some names are kept from everybody, and some from all but the users they name.
    const caps = [{ channels: ["*"], match: "wildcard", allow: ["sub", "pub"] }];
    const token = connectionToken({ user: "namer", caps });
    using client = testClient(a.websocket, { getToken: async () => token });
    await client.connected();
    // centrifuge-js itself takes the name of what every object has for a channel it knows.
    const names =
      namespace === "default" ? NAMES.filter((name) => !name.includes(":") && !(name in {})) : NAMES;
    const channels = names.map((name) => channelId(namespace, name));
    const subs = await Promise.all(channels.map((channel) => client.subscribe(channel)));
    const before = seen.length;
    for (const channel of channels) {
      await client.centrifuge.publish(channel, { by: "client", channel });
      await b.api("publish", { channel, data: { by: "service", channel } });
    }
    for (const [index, sub] of subs.entries()) {
      await receives(sub, 2);
      const channel = channels[index]!;
      // Two publishers: an ephemeral channel promises them no order.
      const data = sub.data() as { by: string; channel: string }[];
      expect(data.sort((x, y) => x.by.localeCompare(y.by))).toEqual([
        { by: "client", channel },
        { by: "service", channel },
      ]);
    }
    await nc.flush();
    const stored = seen.slice(before).filter((one) => one.startsWith(`rt.${namespace}.`));
    // An ephemeral message is seen once where it is published; one that is stored also where it is republished.
    const expected = channels.flatMap((id, index) => {
      const at = subject.message({ namespace, name: names[index]! });
      expect(subject.channel(at)?.id).toBe(id);
      return [at, at];
    });
    expect(stored.sort()).toEqual(expected.sort());
    expect(foreign()).toEqual([]);
  }, 30_000);
}

test("names that cannot be are refused, whatever is asked of them", async () => {
  using client = await member(a);
  let id = 10;
  for (const [name, code] of REFUSED) {
    for (const method of ["subscribe", "publish", "history", "presence", "presence_stats"]) {
      client.send(`{"id":${++id},"${method}":{"channel":${name},"data":1}}`);
      expect([name.slice(0, 40), method, await verdict(client, id)]).toEqual([
        name.slice(0, 40),
        method,
        code,
      ]);
    }
    // Nobody is subscribed to it, and an error would make SDKs reconnect.
    client.send(`{"id":${++id},"unsubscribe":{"channel":${name}}}`);
    expect(await verdict(client, id)).toBe("ok");
    client.send(`{"id":${++id},"sub_refresh":{"channel":${name},"token":"x"}}`);
    expect(await verdict(client, id)).toBe(103);
  }
  expect(foreign()).toEqual([]);
});

test("a channel is one whatever it is asked by: presence, history and the list of channels", async () => {
  using client = await member(a, "looker");
  const channels = ["__proto__", "constructor", "chat:__proto__.", "chat:*.*.*", "chat:a\r\nc", "chat:{a}|c"];
  let id = 10;
  const ask = async (method: string, fields: object) => {
    client.send(JSON.stringify({ id: ++id, [method]: fields }));
    return (await answerTo(client, id))[method];
  };
  for (const channel of channels) {
    await ask("subscribe", { channel });
    const { presence } = (await ask("presence", { channel })) as { presence: Record<string, object> };
    expect(Object.values(presence)).toMatchObject([{ user: "looker" }]);
    expect(await ask("presence_stats", { channel })).toEqual({ num_clients: 1, num_users: 1 });
    await ask("publish", { channel, data: channel });
    expect(await ask("history", { channel, limit: 1, reverse: true })).toMatchObject({
      publications: [{ data: channel }],
    });
  }
  const listed = Object.keys((await b.api<{ channels: object }>("channels", {})).channels);
  for (const channel of channels) expect(listed).toContain(channel);
});

test("RPC methods are one subject each, and reserved ones are nobody else's", async () => {
  using client = await member(a);
  const before = seen.length;
  let id = 10;
  for (const method of NAMES) {
    client.send(JSON.stringify({ id: ++id, rpc: { method, data: {} } }));
    // Nobody answers, and this test listens: it times out.
    expect([method, await verdict(client, id)]).toEqual([method, 100]);
  }
  const asked = seen.slice(before).filter((one) => one.startsWith("rtrpc."));
  expect(asked.map((one) => decodeTail(one.slice("rtrpc.".length)))).toEqual(NAMES);
  for (const method of ["", "trunkline.", "trunkline.explode", "trunkline.publish.x"]) {
    client.send(JSON.stringify({ id: ++id, rpc: { method, data: {} } }));
    expect([method, await verdict(client, id)]).toEqual([method, 104]);
  }
  client.send(JSON.stringify({ id: ++id, rpc: { method: "x".repeat(300), data: {} } }));
  expect(await verdict(client, id)).toBe(107);
  client.send(`{"id":${++id},"rpc":{"method":"\\ud800","data":{}}}`);
  expect(await verdict(client, id)).toBe(107);
  expect(seen.filter((one) => one.startsWith("rtrpc.trunkline"))).toEqual([]);
  expect(foreign()).toEqual([]);
}, 30_000);

test("a user of any name has an inbox, is present and can be kicked", async () => {
  const longest = MAX_CHANNEL_LENGTH - `${USER_NAMESPACE}:`.length;
  for (const name of NAMES) {
    const user = name.slice(0, longest);
    using client = testClient(a.websocket, {
      getToken: async () => connectionToken({ user, device: name.slice(0, 128) }),
    });
    const inbox: unknown[] = [];
    client.centrifuge.on("publication", ({ channel, data }) => inbox.push([channel, data]));
    const { client: id } = await client.connected();
    await b.api("publish", { channel: `user:${user}`, data: user });
    await until(() => inbox.length === 1, { what: `an inbox message for ${JSON.stringify(user)}` });
    expect(inbox).toEqual([[`user:${user}`, user]]);
    const { sub } = await client.subscribe("chat:users-of-any-name");
    expect((await sub.presence()).clients[id]?.user).toBe(user);
    const { connections } = await b.api<{ connections: Record<string, object> }>("connections", { user });
    expect(connections[id]).toMatchObject({ user, device: name.slice(0, 128) });
    const ended = new Promise<number>((resolve) =>
      client.centrifuge.once("disconnected", ({ code }) => resolve(code)),
    );
    await b.api("disconnect", { user });
    expect([user, await ended]).toEqual([user, 3503]);
  }
  for (const user of ["x".repeat(longest + 1), "\ud800"]) {
    using client = await stranger(a);
    client.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user }) } }));
    expect(await verdict(client, 1)).toBe(3500);
  }
  expect(foreign()).toEqual([]);
}, 60_000);

test("parameters of the server API may be named like what every object has", async () => {
  const call = async (method: string, body: string) =>
    (await (
      await fetch(`${a.url}/api/${method}`, {
        method: "POST",
        headers: { "X-API-Key": TEST_API_KEY },
        body,
      })
    ).json()) as { error?: { code: number }; result?: unknown; replies?: unknown[] };
  using client = testClient(b.websocket, { user: "tagged" });
  await client.connected();
  const sub = await client.subscribe("chat:tags");
  await call(
    "publish",
    '{"channel":"chat:tags","data":{"__proto__":1},"tags":{"__proto__":"a","constructor":"b"}}',
  );
  await receives(sub, 1);
  expect(Object.entries(sub.received[0]!.tags ?? {})).toEqual([
    ["__proto__", "a"],
    ["constructor", "b"],
  ]);
  // Members that nobody knows are passed over.
  const odd = '{"channel":"chat:tags","data":1,"__proto__":{"x":1},"constructor":1,"hasOwnProperty":true}';
  expect((await call("publish", odd)).error).toBeUndefined();
  expect((await call("__proto__", "{}")).error?.code).toBe(104);
  expect((await call("constructor", "{}")).error?.code).toBe(104);
  const { replies } = await call("batch", '{"commands":[{"toString":{}},{"__proto__":{}}]}');
  expect(replies).toMatchObject([{ error: { code: 104 } }, { error: { code: 104 } }]);
  expect((await call("presence", '{"channel":"__proto__:x"}')).error?.code).toBe(102);
  expect((await call("connections", '{"user":"__proto__"}')).result).toEqual({ connections: {} });
});

test("a subscription token for a name goes for that name alone", async () => {
  for (const [granted, asked] of [
    ["chat:a*", "chat:ab"],
    ["chat:*", "chat:x"],
    ["chat:%2A", "chat:*"],
    ["chat:größe", "chat:gro\u0308ße"],
    ["chat:a", "chat:a\0"],
  ] as const) {
    using client = await member(a, "granted");
    const token = subscriptionToken({ user: "granted", channel: granted });
    client.send(JSON.stringify({ id: 9, subscribe: { channel: asked, token } }));
    expect([asked, await verdict(client, 9)]).toEqual([asked, 3500]);
  }
  expect(encodeTail("%2A")).not.toBe(encodeTail("*"));
});
