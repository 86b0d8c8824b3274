import { expect, mock, test } from "bun:test";
import { CommandError, Errors } from "../../src/core/errors.ts";
import type { Operations } from "../../src/gateway/gateway.ts";
import { httpServer } from "../helpers/http-server.ts";

const KEY = "key-of-sixteen-characters";

/** A server around these operations, and how to call it. */
function api(operations: Partial<Operations> = {}) {
  const server = httpServer({ operations });
  const post = (path: string, body: unknown, headers: Record<string, string> = { "X-API-Key": KEY }) =>
    fetch(`${server.http}/api${path}`, {
      method: "POST",
      headers,
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  const call = async (method: string, params: unknown) => {
    const response = await post(`/${method}`, params);
    expect(response.status).toBe(200);
    return await response.json();
  };
  return { post, call, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const failing = (code: number) => ({ error: { code, message: expect.any(String) } });

test("needs a key, in either header, and takes any of several", async () => {
  const info = async () => ({ instances: [], partial: false });
  await using server = httpServer({
    operations: { info },
    options: { apiKeys: ["first-key", "second-key"] },
  });
  const status = async (headers: Record<string, string>, query = "", method = "POST") =>
    (await fetch(`${server.http}/api/info${query}`, { method, headers })).status;
  expect(await status({})).toBe(401);
  expect(await status({}, "", "GET")).toBe(401);
  expect(await status({ "X-API-Key": "" })).toBe(401);
  expect(await status({ "X-API-Key": "first-ke" })).toBe(401);
  expect(await status({ Authorization: "Bearer first-key" })).toBe(401);
  expect(await status({ "X-API-Key": "first-key" })).toBe(200);
  expect(await status({}, "?api_key=first-key")).toBe(200);
  expect(await status({}, "?api_key=first-ke")).toBe(401);
  expect(await status({}, "?api_key=")).toBe(401);
  expect(await status({ "X-API-Key": "wrong" }, "?api_key=first-key")).toBe(401);
  expect(await status({ Authorization: "apikey second-key" })).toBe(200);
  await using closed = httpServer({ operations: { info }, options: { apiKeys: [] } });
  expect(
    (await fetch(`${closed.http}/api/info`, { method: "POST", headers: { "X-API-Key": "" } })).status,
  ).toBe(401);
});

test("unreadable bodies are 400, long ones 413, however they come", async () => {
  await using at = api();
  expect((await at.post("/publish", "{")).status).toBe(400);
  expect((await at.post("", "nope")).status).toBe(400);
  expect((await at.post("/publish", { channel: "x", data: "y".repeat(10_001) })).status).toBe(413);
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(10_001).fill(32));
      controller.close();
    },
  });
  const chunked = await fetch(`${(await at.post("/info", {})).url}`, {
    method: "POST",
    headers: { "X-API-Key": KEY },
    body: stream,
  });
  expect(chunked.status).toBe(413);
});

test("publish hands the body over as text or bytes, with its options", async () => {
  const publish = mock<Operations["publish"]>(async () => ({ offset: 5, epoch: "e" }));
  await using at = api({ publish });
  const answer = { result: { offset: 5, epoch: "e" } };
  expect(await at.call("publish", { channel: "chat:a", data: { n: [1, "ü"] } })).toEqual(answer);
  expect(
    await at.call("publish", { channel: "chat:a", data: null, tags: { a: "b" }, idempotency_key: "k" }),
  ).toEqual(answer);
  expect(
    await at.call("publish", { channel: "chat:a", b64data: "AP8=", skip_history: false, tags: null }),
  ).toEqual(answer);
  expect(publish.mock.calls).toEqual([
    ["chat:a", '{"n":[1,"ü"]}', {}],
    ["chat:a", "null", { id: "k", tags: { a: "b" } }],
    ["chat:a", Buffer.from([0, 255]), {}],
  ]);
});

test.each([
  ["no channel", { data: 1 }],
  ["an empty channel", { channel: "", data: 1 }],
  ["a channel that is no text", { channel: 7, data: 1 }],
  ["no body", { channel: "a" }],
  ["two bodies", { channel: "a", data: 1, b64data: "AA==" }],
  ["a body that is no base64", { channel: "a", b64data: "?" }],
  ["tags that are no texts", { channel: "a", data: 1, tags: { a: 1 } }],
  ["a key with a line break", { channel: "a", data: 1, idempotency_key: "a\r\nb" }],
  ["a long key", { channel: "a", data: 1, idempotency_key: "k".repeat(129) }],
  ["no object", [1]],
  ["null", null],
])("publish with %s is a bad request", async (_what, params) => {
  await using at = api();
  expect(await at.call("publish", params)).toEqual(failing(107));
});

test("members that would change what a call does are refused with their reason, unknown and empty ones passed over", async () => {
  const publish = mock<Operations["publish"]>(async () => ({ offset: 5, epoch: "e" }));
  const subscribe = mock<Operations["subscribe"]>(async () => {});
  const disconnect = mock<Operations["disconnect"]>(async () => {});
  await using at = api({ publish, subscribe, disconnect });
  const message = { channel: "a", data: 1 };
  const target = { user: "u", channel: "a" };
  for (const [method, params] of [
    ["subscribe", { ...target, label_filter: { key: "a", cmp: "eq", val: "b" } }],
    ["disconnect", { user: "u", all_users: true }],
    ["refresh", { user: "u", all_users: true }],
    ["connections", { user: "u", expression: "a" }],
  ] as const) {
    expect([method, params, await at.call(method, params)]).toEqual([method, params, failing(108)]);
  }
  expect([publish.mock.calls.length, subscribe.mock.calls.length]).toEqual([0, 0]);

  const given = { ...message, delta: true, skip_history: false, version: 0, dta: 2, new_member: {} };
  expect(await at.call("publish", given)).toEqual({ result: { offset: 5, epoch: "e" } });
  expect(await at.call("publish", { channel: "a", data: "", b64data: "AP8=" })).toMatchObject({ result: {} });
  const v3 = { ...target, presence: true, join_leave: true, recover: true, session: "", override: null };
  expect(await at.call("subscribe", v3)).toEqual({ result: {} });
  const gocent = {
    user: "u",
    Disconnect: { code: 4500, reason: "r", reconnect: false },
    ClientWhitelist: ["c"],
  };
  expect(await at.call("disconnect", gocent)).toEqual({ result: {} });
  expect(disconnect.mock.calls).toEqual([[{ user: "u" }, { code: 4500, reason: "r" }, ["c"]]]);
});

test("several commands below each other are answered below each other", async () => {
  const publish = mock<Operations["publish"]>(async () => ({ offset: 5, epoch: "e" }));
  await using at = api({ publish });
  const commands = [
    { method: "publish", params: { channel: "a", data: 1 } },
    { method: "nonsense", params: {} },
    { method: "publish", params: { channel: "b", data: 2 } },
  ];
  const response = await at.post("", commands.map((command) => JSON.stringify(command)).join("\n"));
  const answers = (await response.text()).trim().split("\n");
  const published = { result: { offset: 5, epoch: "e" } };
  expect(answers.map((line) => JSON.parse(line))).toEqual([published, failing(104), published]);
});

test("a bad request is explained by parameter, without its value", async () => {
  await using at = api();
  const { error } = (await at.call("presence", { channel: 17, secret: "value" })) as {
    error: { message: string };
  };
  expect(error.message).toStartWith("bad request: ");
  expect(error.message).toContain("channel: ");
  expect(error.message).not.toContain("value");
});

test("errors of an operation are answered with their code, unforeseen ones as internal", async () => {
  await using at = api({
    publish: async () => {
      throw new CommandError(Errors.unknownChannel, "no such namespace");
    },
    presence: async () => {
      throw new TypeError("secret detail");
    },
  });
  expect(await at.call("publish", { channel: "x:y", data: 1 })).toEqual({
    error: { code: 102, message: "unknown channel" },
  });
  expect(await at.call("presence", { channel: "x" })).toEqual({
    error: { code: 100, message: "internal server error" },
  });
  expect(await at.call("no_such_method", {})).toEqual(failing(104));
  expect(await at.call("toString", {})).toEqual(failing(104));
});

test("broadcast answers for each channel", async () => {
  await using at = api({
    broadcast: async () => [{ offset: 1, epoch: "e" }, { error: Errors.unknownChannel }],
  });
  expect(await at.call("broadcast", { channels: ["a", "x:y"], data: 1 })).toEqual({
    result: {
      responses: [
        { result: { offset: 1, epoch: "e" } },
        { error: { code: 102, message: "unknown channel" } },
      ],
    },
  });
  expect(await at.call("broadcast", { channels: [], data: 1 })).toEqual(failing(107));
});

test("subscribe, unsubscribe, disconnect and refresh name their targets", async () => {
  const subscribe = mock<Operations["subscribe"]>(async () => {});
  const unsubscribe = mock<Operations["unsubscribe"]>(async () => {});
  const disconnect = mock<Operations["disconnect"]>(async () => {});
  const refresh = mock<Operations["refresh"]>(async () => {});
  await using at = api({ subscribe, unsubscribe, disconnect, refresh });
  const done = { result: {} };
  expect(
    await at.call("subscribe", { user: "u", channel: "c", info: { a: 1 }, client: "", session: "" }),
  ).toEqual(done);
  expect(await at.call("unsubscribe", { user: "u", client: "c1", channel: "c" })).toEqual(done);
  expect(
    await at.call("disconnect", {
      user: "u",
      whitelist: ["c2"],
      disconnect: { code: 4000, reason: "bye" },
      client: null,
    }),
  ).toEqual(done);
  expect(await at.call("refresh", { user: "u", expire_at: 1_900_000_000 })).toEqual(done);
  expect(await at.call("refresh", { user: "u", expired: true })).toEqual(done);
  expect(subscribe.mock.calls).toEqual([[{ user: "u" }, "c", { info: '{"a":1}' }]]);
  expect(unsubscribe.mock.calls).toEqual([[{ user: "u", client: "c1" }, "c"]]);
  expect(disconnect.mock.calls).toEqual([[{ user: "u" }, { code: 4000, reason: "bye" }, ["c2"]]]);
  expect(refresh.mock.calls).toEqual([
    [{ user: "u" }, { expireAt: 1_900_000_000 }],
    [{ user: "u" }, { expired: true }],
  ]);
  for (const close of [{ code: 1000, reason: "" }, { code: 4000, reason: "ü".repeat(62) }, { reason: "" }]) {
    expect(await at.call("disconnect", { user: "u", disconnect: close })).toEqual(failing(107));
  }
  expect(await at.call("disconnect", {})).toEqual(failing(107));
});

test("presence, history, channels, connections and info answer in Centrifugo's shape", async () => {
  const info = { client: "c1", user: "u", connInfo: '{"name":"U"}' };
  const history = mock<Operations["history"]>(async () => ({
    publications: [
      { offset: 3, data: '{"a":1}', timeMs: 1, tags: { t: "1" }, info },
      { offset: 4, data: new Uint8Array([255]), timeMs: 1 },
    ],
    position: { epoch: "e", offset: 4 },
  }));
  await using at = api({
    history,
    historyRemove: async () => {},
    presence: async () => ({ members: [info], partial: true }),
    presenceStats: async () => ({ clients: 2, users: 1, partial: false }),
    channels: async (pattern) => ({
      channels: new Map([[pattern ?? "all", 3]]),
      partial: pattern === "lost*",
    }),
    connectionsOf: async (user) => ({
      connections: [{ client: "c1", device: "d", region: "fra", instance: "i", sinceMs: 1_700_000_000_500 }],
      partial: user === "lost",
    }),
    info: async () => ({
      instances: [
        ...[
          {
            instance: "i",
            region: "fra",
            version: "1",
            connections: 4,
            users: 3,
            channels: 2,
            uptimeMs: 61_500,
          },
        ],
      ],
      partial: true,
    }),
  });
  const shown = { client: "c1", user: "u", conn_info: { name: "U" } };
  expect(await at.call("presence", { channel: "c" })).toEqual({
    result: { presence: { c1: shown }, partial: true },
  });
  expect(await at.call("presence_stats", { channel: "c" })).toEqual({
    result: { num_clients: 2, num_users: 1 },
  });
  expect(
    await at.call("history", { channel: "c", limit: 10, since: { offset: 2, epoch: "e" }, reverse: true }),
  ).toEqual({
    result: {
      publications: [
        { offset: 3, data: { a: 1 }, info: shown, tags: { t: "1" } },
        { offset: 4, b64data: "/w==" },
      ],
      epoch: "e",
      offset: 4,
    },
  });
  await at.call("history", { channel: "c" });
  expect(history.mock.calls).toEqual([
    ["c", { limit: 10, reverse: true, since: { offset: 2, epoch: "e" } }],
    ["c", { limit: 0, reverse: false }],
  ]);
  await at.call("history", { channel: "c", limit: -1 });
  expect(history.mock.calls.at(-1)).toEqual(["c", { limit: 10_000, reverse: false }]);
  expect(await at.call("history", { channel: "c", limit: -2 })).toEqual(failing(107));
  expect(await at.call("history_remove", { channel: "c" })).toEqual({ result: {} });
  expect(await at.call("channels", { pattern: "chat:*" })).toEqual({
    result: { channels: { "chat:*": { num_clients: 3 } } },
  });
  expect(await at.call("channels", {})).toEqual({ result: { channels: { all: { num_clients: 3 } } } });
  expect(await at.call("connections", { user: "u" })).toEqual({
    result: {
      connections: { c1: { user: "u", device: "d", region: "fra", instance: "i", since: 1_700_000_000 } },
    },
  });
  const node = {
    uid: "i",
    name: "i",
    region: "fra",
    version: "1",
    num_clients: 4,
    num_users: 3,
    num_channels: 2,
  };
  expect(await at.call("info", {})).toEqual({ result: { nodes: [{ ...node, uptime: 61 }], partial: true } });
});

test("batch carries its commands out in order, each with its own answer", async () => {
  const order: string[] = [];
  await using at = api({
    publish: async (channel) => {
      order.push(channel);
      await Promise.resolve();
      return { offset: order.length, epoch: "e" };
    },
  });
  const commands = [
    { publish: { channel: "a", data: 1 } },
    { publish: { channel: "", data: 1 } },
    { nonsense: {} },
    { publish: { channel: "b", data: 1 } },
  ];
  const replies = [
    { publish: { offset: 1, epoch: "e" } },
    failing(107),
    failing(104),
    { publish: { offset: 2, epoch: "e" } },
  ];
  expect(await at.call("batch", { commands })).toEqual({ replies });
  expect(order).toEqual(["a", "b"]);
  const parallel = (await at.call("batch", { commands, parallel: true })) as { replies: unknown[] };
  expect(parallel.replies.length).toBe(4);
  expect(await at.call("batch", { commands: [{ batch: { commands: [] } }] })).toEqual({
    replies: [failing(104)],
  });
  expect(await at.call("batch", { commands: [{}] })).toEqual(failing(107));
  expect(await at.call("batch", { commands: Array(1_001).fill({ x: 0 }) })).toEqual(failing(107));
});

test("the method may stand in the body", async () => {
  await using at = api({ info: async () => ({ instances: [], partial: false }) });
  const answer = async (body: unknown) => await (await at.post("", body)).json();
  expect(await answer({ method: "info", params: {} })).toEqual({ result: { nodes: [] } });
  expect(await answer({ method: "info" })).toEqual({ result: { nodes: [] } });
  expect(await answer({ params: {} })).toEqual(failing(107));
});
