import { expect, test } from "bun:test";
import { createLogger } from "../../src/core/log.ts";
import type { PusherApp } from "../../src/pusher/apps.ts";
import { SHOP } from "../gateway/fixture.ts";
import { httpServer } from "../helpers/http-server.ts";
import { OPCODE, RawWebSocket } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";

const handshakeOf = async (client: RawWebSocket) => JSON.parse((await client.take(OPCODE.text)).toString());

/** The `Retry-After` of a refused handshake, seconds. */
const retryAfter = (client: RawWebSocket) => Number(/^retry-after: (\d+)$/im.exec(client.head)?.[1]);

test("an app without an Origin connects, and the gateway learns who it is", async () => {
  await using server = httpServer();
  using client = await RawWebSocket.open(server.url);
  expect(await handshakeOf(client)).toEqual({
    protocol: "centrifuge-json",
    ip: "127.0.0.1",
    admissionKey: "127.0.0.1",
  });
  client.send("hello");
  expect((await client.take(OPCODE.text)).toString()).toBe("hello");
});

test("only listed origins and this very host are let in", async () => {
  await using server = httpServer({ options: { allowedOrigins: ["https://app.example.com"] } });
  const status = async (origin: string, host?: string) => {
    using client = await RawWebSocket.open(server.url, { Origin: origin, ...(host ? { Host: host } : {}) });
    return client.status;
  };
  expect(await status("https://app.example.com")).toBe(101);
  expect(await status(server.http)).toBe(101);
  expect(await status("https://rt.example.com", "rt.example.com")).toBe(101);
  const forged = [
    "null",
    "https://app.example.com.evil.test",
    "https://evil-app.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://app.example.com@evil.test",
    server.http.replace(/\d+$/, "1"),
  ];
  for (const origin of forged) expect([origin, await status(origin)]).toEqual([origin, 403]);
  expect(server.stats.rejected.get("origin")).toBe(forged.length);
});

test("who is turned away for a mistake of a client's author or of the settings is in the log, once a minute", async () => {
  const logged: Record<string, unknown>[] = [];
  const proxy = { kind: "header", header: "X-Forwarded-For", cidrs: ["127.0.0.0/8"], hops: 1 } as const;
  const off: PusherApp = { ...SHOP, id: "2", enabled: false, keys: [{ key: "off", secret: "s".repeat(16) }] };
  await using server = httpServer({
    options: { proxy },
    apps: [SHOP, off],
    log: createLogger("debug", (line) => logged.push({ ...line })),
  });
  const stream = (init: RequestInit) => (headers: Record<string, string>) =>
    fetch(`${server.http}/connection/http_stream`, {
      method: "POST",
      ...init,
      headers: { ...init.headers, ...headers },
    });
  const socket =
    (path: string, more: Record<string, string> = {}) =>
    async (headers: Record<string, string>) => {
      using client = await RawWebSocket.open(`ws://${server.host}${path}`, { ...more, ...headers });
      return client.status;
    };
  const foreign = { Origin: "https://elsewhere.example" };
  const mistakes: [detail: string, attempt: (headers: Record<string, string>) => Promise<unknown>][] = [
    ["http.allowedOrigins", socket("/connection/websocket", foreign)],
    ["http.allowedOrigins", socket(`/app/${SHOP.keys[0]!.key}?protocol=7`, foreign)],
    ["http.allowedOrigins", stream({ headers: foreign, body: "{}" })],
    ["centrifuge-json", socket("/connection/websocket", { "Sec-WebSocket-Protocol": "graphql-ws" })],
    ["limits.frame", stream({ body: "x".repeat(70_000) })],
    ["application does not exist", socket("/app/unknown?protocol=7")],
    ["application disabled", socket("/app/off?protocol=7")],
    ["unsupported protocol version", socket(`/app/${SHOP.keys[0]!.key}?protocol=4`)],
    ["no protocol version", socket(`/app/${SHOP.keys[0]!.key}`)],
  ];
  for (const [index, [detail, attempt]] of mistakes.entries()) {
    const ip = `192.0.2.${index}`;
    for (let n = 0; n < 2; n++) await attempt({ "X-Forwarded-For": ip });
    const told = logged.filter((line) => line.message === "client made a mistake" && line.ip === ip);
    expect([detail, told.map(({ level }) => level)]).toEqual([detail, ["info", "debug"]]);
    expect(told[0]!.detail).toContain(detail);
  }
  expect(JSON.stringify(logged)).not.toContain("elsewhere");
});

test("a forged X-Forwarded-For changes nothing; a trusted proxy's counts", async () => {
  await using open = httpServer();
  using one = await RawWebSocket.open(open.url, { "X-Forwarded-For": "1.1.1.1", "Fly-Client-IP": "1.1.1.1" });
  expect((await handshakeOf(one)).ip).toBe("127.0.0.1");

  const proxy = { kind: "header", header: "X-Forwarded-For", cidrs: ["127.0.0.0/8"], hops: 1 } as const;
  await using behind = httpServer({ options: { proxy } });
  using two = await RawWebSocket.open(behind.url, { "X-Forwarded-For": "1.1.1.1, 2001:db8::5" });
  expect(await handshakeOf(two)).toMatchObject({ ip: "2001:db8::5", admissionKey: "2001:db8:0:0::/64" });
});

test("one address gets so many connections, and so many in a time", async () => {
  await using server = httpServer({
    admission: { connectionsPerIp: 2, ratePerIp: { perSecond: 0.5, burst: 3 } },
  });
  using one = await RawWebSocket.open(server.url);
  using two = await RawWebSocket.open(server.url);
  using three = await RawWebSocket.open(server.url);
  expect([one.status, two.status, three.status]).toEqual([101, 101, 429]);
  expect(retryAfter(three)).toBeGreaterThanOrEqual(5);
  using four = await RawWebSocket.open(server.url);
  expect([four.status, retryAfter(four)]).toEqual([429, 2]);
  expect(Object.fromEntries(server.stats.rejected)).toEqual({ ip_cap: 1, ip_rate: 1 });
});

test("the instance takes so many, and a place given up is free again", async () => {
  await using server = httpServer({ admission: { connections: 1 } });
  const first = await RawWebSocket.open(server.url);
  using second = await RawWebSocket.open(server.url);
  expect([first.status, second.status]).toEqual([101, 503]);
  expect(server.stats.rejected.get("instance_cap")).toBe(1);
  first[Symbol.dispose]();
  await until(() => server.admission.connections === 0, { what: "the place to be free" });
  using third = await RawWebSocket.open(server.url);
  expect(third.status).toBe(101);
});

test("no new connections while refusing or draining", async () => {
  await using server = httpServer();
  server.world.overload = "shedding";
  using shedding = await RawWebSocket.open(server.url);
  expect(shedding.status).toBe(101);
  server.world.overload = "refusing";
  using refused = await RawWebSocket.open(server.url);
  expect([refused.status, retryAfter(refused) >= 5]).toEqual([503, true]);
  server.world.overload = "ok";
  server.world.draining = true;
  using late = await RawWebSocket.open(server.url);
  expect([late.status, retryAfter(late)]).toEqual([503, 1]);
  expect(Object.fromEntries(server.stats.rejected)).toEqual({ overload: 1, draining: 1 });
  expect(server.admission.connections).toBe(1);
});

test("the encoding is that of the first subprotocol known here, or of the query", async () => {
  await using server = httpServer();
  const ask = (query: string, protocol?: string) =>
    RawWebSocket.open(server.url + query, protocol ? { "Sec-WebSocket-Protocol": protocol } : {});
  for (const [query, protocol, codec] of [
    ["", undefined, "centrifuge-json"],
    ["?cf_ws_frame_ping_pong=true", undefined, "centrifuge-json"],
    ["?format=protobuf", undefined, "centrifuge-protobuf"],
    ["?cf_protocol=protobuf", undefined, "centrifuge-protobuf"],
    ["", "centrifuge-protobuf", "centrifuge-protobuf"],
    ["", "other, centrifuge-protobuf,centrifuge-json", "centrifuge-protobuf"],
    ["?format=protobuf", "centrifuge-json", "centrifuge-json"],
  ] as const) {
    using client = await ask(query, protocol);
    const answered = /sec-websocket-protocol: (\S+)/i.exec(client.head)?.[1];
    expect([query, protocol, client.status, answered]).toEqual([query, protocol, 101, protocol && codec]);
    expect(JSON.parse(String(await client.take(OPCODE.text)))).toMatchObject({ protocol: codec });
  }
  using refused = await ask("", "something-else");
  expect(refused.status).toBe(400);
});

test("a WebSocket offered among other protocols, and a slash behind the path, are taken", async () => {
  await using server = httpServer();
  for (const [url, upgrade] of [
    [server.url, "h2c, websocket"],
    [server.url, "WebSocket"],
    [`${server.url}/`, "websocket"],
  ] as const) {
    using client = await RawWebSocket.open(url, { Upgrade: upgrade });
    expect([url, upgrade, client.status]).toEqual([url, upgrade, 101]);
  }
});

test("what is no WebSocket handshake is told so", async () => {
  await using server = httpServer();
  const plain = await fetch(server.url.replace("ws:", "http:"));
  expect([plain.status, plain.headers.get("upgrade")]).toEqual([426, "websocket"]);
  using old = await RawWebSocket.open(server.url, { "Sec-WebSocket-Version": "8" });
  expect([old.status, old.head.toLowerCase()]).toEqual([
    426,
    expect.stringContaining("sec-websocket-version: 13"),
  ]);
  for (const key of [undefined, "", "short", "x".repeat(24)]) {
    using keyless = await RawWebSocket.open(server.url, { "Sec-WebSocket-Key": key });
    expect([key, keyless.status]).toEqual([key, 400]);
  }
  const post = await fetch(server.url.replace("ws:", "http:"), { method: "POST" });
  expect(post.status).toBe(404);
  expect(server.admission.connections).toBe(0);
});

test("neither a lax runtime nor one that refuses an upgrade breaks the count", async () => {
  await using server = httpServer();
  const headers = { upgrade: "websocket", "sec-websocket-version": "13" };
  const key = { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
  const ask = (own: Record<string, string>, answer: Response | undefined) =>
    server.app.fetch(
      new Request(`${server.http}/connection/websocket`, { headers: { ...headers, ...own } }),
      {
        ip: "127.0.0.1",
        peer: "127.0.0.1 1",
        upgrade: () => answer,
        idleTimeout() {},
      },
    );
  expect((await ask({}, new Response("upgraded"))).status).toBe(400);
  expect(await (await ask(key, new Response("upgraded"))).text()).toBe("upgraded");
  expect(server.admission.connections).toBe(1);
  expect((await ask(key, undefined)).status).toBe(400);
  expect(server.admission.connections).toBe(1);
});
