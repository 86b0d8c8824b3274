import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type NatsConnection } from "nats";
import { loadConfig } from "../../src/config.ts";
import { member, metric, said, stranger, unharmed, verdict } from "../helpers/hostile.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { OPCODE, type RawWebSocket } from "../helpers/raw-websocket.ts";
import { natsServer, redisServer, type TestServer } from "../helpers/servers.ts";
import { connectionToken, signed, subscriptionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/**
 * Attacks, each with who tries it and what must come of it; against `serve` with NATS and Redis. None may get in, and
 * afterwards the instance must be as before. A new attack is one more row.
 */

let nats: TestServer;
let redis: TestServer;
let services: NatsConnection;
let instance: TestInstance;

beforeAll(async () => {
  [nats, redis] = await Promise.all([natsServer(), redisServer()]);
  services = await connect({ servers: nats.url });
  instance = await startInstance({
    env: { NATS_URL: nats.url, REDIS_URL: redis.url },
    config: {
      namespaces: {
        closed: { subscribe: "token", publish: "nobody", history: { size: 10 }, recovery: "stream" },
        similar: { publish: "authenticated", subscribe: "anyone", delta: true, history: { size: 5 } },
        asked: { subscribeCallout: true, publishCallout: true, publish: "authenticated" },
      },
    },
  });
}, 60_000);

afterAll(async () => {
  await instance?.[Symbol.asyncDispose]();
  await services?.close();
  await Promise.all([nats, redis].map((server) => server?.[Symbol.asyncDispose]()));
});

const soon = Math.floor(Date.now() / 1_000) + 600;
const unsigned = (claims: object) =>
  `${[{ alg: "none" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")}.`;

/** A connect with a token: what it comes to. */
const connectWith = async (token: string) => {
  using client = await stranger(instance);
  client.send(JSON.stringify({ id: 1, connect: { token } }));
  return await verdict(client, 1);
};

/** One command of a user. */
const commandOf = async (command: object, user = "mallory") => {
  using client = await member(instance, user);
  client.send(JSON.stringify({ id: 2, ...command }));
  return await verdict(client, 2);
};

const call = async (path: string, headers: Record<string, string>, body = "{}") =>
  (await fetch(`${instance.url}${path}`, { method: "POST", headers, body })).status;

/** A service answers one callout with bytes of somebody else's making. */
const answered = async (kind: "subscribe" | "publish", body: string | Uint8Array) => {
  const sub = services.subscribe(`rtauth.${kind}`, { callback: (_, message) => void message.respond(body) });
  await services.flush();
  try {
    const command = kind === "subscribe" ? { channel: "asked:x" } : { channel: "asked:x", data: 1 };
    return await commandOf({ [kind]: command });
  } finally {
    sub.unsubscribe();
    await services.flush();
  }
};

/** Frames of a stranger: how the connection ends. */
const bytes = async (frame: string | Uint8Array, protocol?: string) => {
  using client: RawWebSocket = await stranger(instance, { "Sec-WebSocket-Protocol": protocol });
  client.send(frame, typeof frame === "string" ? OPCODE.text : OPCODE.binary);
  return await verdict(client, 1);
};

/** Why the settings do not start, if they do not. */
const settings = (file: object | string) => {
  const result = loadConfig({ env: {}, file: typeof file === "string" ? file : JSON.stringify(file) });
  const polluted = ({} as Record<string, unknown>).polluted;
  return polluted ? "polluted" : result.problems ? "refused" : "ok";
};

const polluted = () => "polluted" in {} || "data" in ({} as object);

const IN = ["ok", 200] as const;

const ATTACKS: readonly [attack: string, who: string, act: () => unknown, expected: readonly unknown[]][] = [
  [
    "a token signed with another secret",
    "stranger",
    () => connectWith(signed({ sub: "ann", exp: soon }, { secret: "another secret of 32 characters.." })),
    [3500],
  ],
  ["a token without a signature", "stranger", () => connectWith(unsigned({ sub: "ann", exp: soon })), [3500]],
  [
    "a token whose header asks for no algorithm",
    "stranger",
    () => connectWith(signed({ sub: "ann", exp: soon }, { header: { alg: "none" } })),
    [3500],
  ],
  [
    "a token that has run out",
    "stranger",
    () => connectWith(signed({ sub: "ann", exp: soon - 7_200 })),
    [109, 3500],
  ],
  [
    "a token that names its own key",
    "stranger",
    () =>
      connectWith(
        signed(
          { sub: "ann", exp: soon },
          { header: { jwk: { kty: "oct", k: "AA" }, kid: "../../dev/null" } },
        ),
      ),
    ["ok", 3500],
  ],
  [
    "a token of a channel to connect with",
    "stranger",
    () => connectWith(subscriptionToken({ user: "ann", channel: "chat:x" })),
    [3500],
  ],
  [
    "an expiry that is no number",
    "stranger",
    () => connectWith(signed({ sub: "ann", exp: "never" })),
    [3500],
  ],
  ["the inbox of another", "user", () => commandOf({ subscribe: { channel: "user:ann" } }), [103]],
  [
    "the inbox of another, with a token of one's own",
    "user",
    () =>
      commandOf({
        subscribe: {
          channel: "user:ann",
          token: subscriptionToken({ user: "mallory", channel: "user:ann" }),
        },
      }),
    [103],
  ],
  ["a channel that needs a token", "user", () => commandOf({ subscribe: { channel: "closed:x" } }), [103]],
  [
    "a channel with the token of another user",
    "user",
    () =>
      commandOf({
        subscribe: { channel: "closed:x", token: subscriptionToken({ user: "ann", channel: "closed:x" }) },
      }),
    [103, 3500],
  ],
  [
    "a channel with the token of another channel",
    "user",
    () =>
      commandOf({
        subscribe: {
          channel: "closed:x",
          token: subscriptionToken({ user: "mallory", channel: "closed:y" }),
        },
      }),
    [103, 3500],
  ],
  [
    "history of a channel one is not in",
    "user",
    () => commandOf({ history: { channel: "closed:x", limit: 1 } }),
    [103],
  ],
  [
    "presence of a channel one is not in",
    "user",
    () => commandOf({ presence: { channel: "chat:x" } }),
    [103],
  ],
  [
    "publishing where nobody may",
    "user",
    () => commandOf({ publish: { channel: "closed:x", data: 1 } }),
    [103],
  ],
  ["a subject for a channel", "user", () => commandOf({ subscribe: { channel: "chat:>" } }), ["ok"]],
  [
    "a protocol line in a channel's name",
    "user",
    () => commandOf({ subscribe: { channel: "chat:x\r\nPUB a 1\r\n1" } }),
    ["ok"],
  ],
  [
    "a prototype for a channel's namespace",
    "user",
    () => commandOf({ subscribe: { channel: "__proto__:x" } }),
    [102, 107],
  ],
  [
    "an RPC of the gateway's own",
    "user",
    () => commandOf({ rpc: { method: "trunkline.kill", data: 1 } }),
    [104],
  ],
  [
    "an RPC with a subject for a name",
    "user",
    () => commandOf({ rpc: { method: ">", data: 1 } }),
    [104, 107],
  ],
  [
    "a service that answers no JSON to a subscribe",
    "service",
    () => answered("subscribe", "not JSON"),
    [100],
  ],
  ["a service that answers a list", "service", () => answered("subscribe", "[]"), [100]],
  [
    "a service whose error has no number",
    "service",
    () => answered("subscribe", '{"error":{"code":"x"}}'),
    [100],
  ],
  [
    "a service whose answer is nested too deep",
    "service",
    () => answered("subscribe", `{"result":{"data":${"[".repeat(5_000)}${"]".repeat(5_000)}}}`),
    [100],
  ],
  [
    "a service that answers with a prototype",
    "service",
    async () => [await answered("subscribe", '{"__proto__":{"data":1},"error":null}'), polluted()].join(),
    ["ok,false", "100,false"],
  ],
  [
    "a service that ends connections with a code that is none",
    "service",
    () => answered("subscribe", '{"error":{"code":1e308,"message":"x"}}'),
    [100],
  ],
  [
    "a service that answers more than a message may be",
    "service",
    () => answered("publish", `{"data":"${"x".repeat(500_000)}"}`),
    [100, 106],
  ],
  ["bytes that are no text", "service", () => answered("subscribe", new Uint8Array([123, 255, 125])), [100]],
  [
    "messages whose differences take long to find",
    "user",
    async () => {
      const began = performance.now();
      using client = await member(instance, "mallory");
      client.send(JSON.stringify({ id: 2, subscribe: { channel: "similar:x", delta: "fossil" } }));
      for (let n = 0; n < 30; n++) {
        const data = `${"a".repeat(8_000 + n)}b${"a".repeat(8_000 - n)}`;
        client.send(JSON.stringify({ id: n + 3, publish: { channel: "similar:x", data } }));
      }
      const last = await verdict(client, 32, 10_000);
      return `${last} in ${performance.now() - began < 5_000 ? "time" : "vain"}`;
    },
    ["ok in time"],
  ],
  ["a service whose data is half a text", "service", () => answered("publish", '{"result":{"data":'), [100]],
  [
    "a wrong key of the server API",
    "stranger",
    () => call("/api/info", { "x-api-key": "wrong-key-of-a-stranger" }),
    [401],
  ],
  ["no key", "stranger", () => call("/api/publish", {}), [401]],
  [
    "a signature of nobody's app",
    "stranger",
    () => call("/apps/shop/events?auth_key=x&auth_signature=y", {}),
    [404],
  ],
  [
    "commands for somebody else's stream",
    "stranger",
    () => call("/emulation", {}, '{"node":"x","session":"y","data":"{}"}'),
    [404],
  ],
  [
    "a page of elsewhere",
    "page",
    () => call("/connection/http_stream", { origin: "https://evil.example" }),
    [403],
  ],
  ["a page without an origin", "page", () => call("/connection/http_stream", { origin: "null" }), [403]],
  [
    "JSON nested without end",
    "stranger",
    () => bytes(`{"id":1,"connect":{"data":${"[".repeat(100_000)}`),
    [3501],
  ],
  [
    "Protobuf that says it is longer than all memory",
    "stranger",
    () => bytes(new Uint8Array([0xff, 0xff, 0xff, 0xff, 0x7f, 1]), "centrifuge-protobuf"),
    [3501],
  ],
  [
    "Protobuf groups without end",
    "stranger",
    () => bytes(new Uint8Array(10_000).fill(0x0b), "centrifuge-protobuf"),
    [3501],
  ],
  [
    "members with one hash",
    "stranger",
    () =>
      bytes(
        `{"id":1,"connect":{"token":"x","data":{${Array.from({ length: 10_000 }, (_, n) => `"${n * 2 ** 32}":0`).join()}}}}`,
      ),
    [3500],
  ],
  [
    "a prototype in a command",
    "stranger",
    () => bytes('{"id":1,"connect":{"__proto__":{"token":"x"},"constructor":{"prototype":{}}}}'),
    [101, 3501, 3507, 3500],
  ],
  [
    "a prototype in the settings",
    "operator",
    () => settings('{"__proto__":{"polluted":true},"limits":{"__proto__":{"polluted":true}}}'),
    ["ok", "refused"],
  ],
  [
    "a constructor in the settings",
    "operator",
    () => settings('{"constructor":{"prototype":{"polluted":true}}}'),
    ["refused"],
  ],
  [
    "a namespace called like the prototype",
    "operator",
    () => settings('{"namespaces":{"__proto__":{"publish":"anyone"}}}'),
    ["ok", "refused"],
  ],
];

/** Attacks whose answer may be "ok": what they bring is not looked at, or is a name like any other, written safely. */
const HARMLESS = new Set([
  "a subject for a channel",
  "a protocol line in a channel's name",
  "a token that names its own key",
  "a prototype in the settings",
  "a namespace called like the prototype",
]);

describe("attacks", () => {
  test.each(ATTACKS)(
    "%s (%s)",
    async (attack, _, act, expected) => {
      const came = await act();
      expect(expected).toContain(came as never);
      if (!HARMLESS.has(attack)) expect(IN).not.toContain(came as never);
    },
    20_000,
  );

  test("floods of presence and reconnects leave the instance, NATS and Redis as they were", async () => {
    const other = await member(instance, "ann");
    using _other = other;
    for (let round = 0; round < 10; round++) {
      const clients = await Promise.all(Array.from({ length: 30 }, () => member(instance)));
      for (const client of clients) {
        const commands = Array.from({ length: 60 }, (_, n) =>
          n === 0
            ? { id: 2, subscribe: { channel: "chat:crowd", join_leave: true } }
            : { id: n + 2, presence: { channel: "chat:crowd" } },
        );
        client.send(commands.map((one) => JSON.stringify(one)).join("\n"));
      }
      await Promise.all(clients.map((client) => until(() => said(client).some(({ id }) => id === 2))));
      for (const client of clients) client[Symbol.dispose]();
    }
    const began = performance.now();
    other.send(JSON.stringify({ id: 2, subscribe: { channel: "chat:calm" } }));
    expect(await verdict(other, 2)).toBe("ok");
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(await metric(instance, "trunkline_broker_reconnects_total")).toBe(0);
    expect(await metric(instance, "trunkline_presence_degraded")).toBe(0);
  }, 60_000);

  test("afterwards it serves as before, and has told no secret", async () => {
    await unharmed(instance, [TEST_API_KEY, connectionToken({ user: "x" }).split(".")[2]!]);
  }, 20_000);
});
