import { expect, test } from "bun:test";
import { CommandError, Errors } from "../../src/core/errors.ts";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { Operations } from "../../src/gateway/gateway.ts";
import { serverApi } from "../../src/http/api.ts";
import { METHODS } from "../../src/http/api-methods.ts";

/**
 * What Centrifugo's published server clients can send (its API definition, cent 5.2, gocent 3.3 and 4), by method and
 * member: a value of it, and what must reach the operation, or the code of the refusal.
 */
const OVERRIDE = { presence: { value: true }, join_leave: { value: false }, force_recovery: { value: true } };
const OVERRIDDEN = { presence: true, joinLeave: false, recovery: true };
const B64 = Buffer.from('{"b":1}').toString("base64");
const NARROWED = { label_filter: [{ key: "a", cmp: "eq", val: "b" }, 108], all_users: [true, 108] } as const;
const TARGETED = {
  client: ["c1", { client: "c1" }],
  session: ["s1", { session: "s1" }],
  ...NARROWED,
} as const;
const MESSAGE = {
  b64data: ["AAH/", Buffer.from([0, 1, 255])],
  skip_history: [true, { skipHistory: true }],
  tags: [{ a: "b" }, { tags: { a: "b" } }],
  idempotency_key: ["k", { id: "k" }],
  delta: [true, undefined],
  version: [7, { version: { number: 7, epoch: "" } }],
  version_epoch: ["e", undefined],
} as const;

const PUBLISHED: Readonly<
  Record<string, Readonly<Record<string, readonly [value: unknown, becomes: unknown]>>>
> = {
  publish: { channel: ["chat:a", "chat:a"], data: [{ a: 1 }, '{"a":1}'], ...MESSAGE },
  broadcast: { channels: [["chat:a"], ["chat:a"]], data: [{ a: 1 }, '{"a":1}'], ...MESSAGE },
  subscribe: {
    ...{ channel: ["chat:a", "chat:a"], user: ["ann", { user: "ann" }], ...TARGETED },
    expire_at: [1_900_000_000, { expireAt: 1_900_000_000 }],
    info: [{ a: 1 }, { info: '{"a":1}' }],
    b64info: [B64, { info: '{"b":1}' }],
    data: [{ a: 1 }, { data: '{"a":1}' }],
    b64data: [B64, { data: '{"b":1}' }],
    recover_since: [{ offset: 5, epoch: "e" }, { since: { offset: 5, epoch: "e" } }],
    override: [OVERRIDE, { override: OVERRIDDEN }],
    // Of the SDK for version 3: what they ask for is what the namespace says.
    ...{ presence: [true, undefined], join_leave: [true, undefined], position: [true, undefined] },
    recover: [true, undefined],
  },
  unsubscribe: { channel: ["chat:a", "chat:a"], user: ["ann", { user: "ann" }], ...TARGETED },
  disconnect: {
    ...{ user: ["ann", { user: "ann" }], ...TARGETED },
    disconnect: [
      { code: 4000, reason: "r" },
      { code: 4000, reason: "r" },
    ],
    whitelist: [["c2"], ["c2"]],
    Disconnect: [
      { code: 4000, reason: "r", reconnect: true },
      { code: 4000, reason: "r" },
    ],
    ClientWhitelist: [["c2"], ["c2"]],
  },
  refresh: {
    ...{ user: ["ann", { user: "ann" }], ...TARGETED, expired: [true, { expired: true }] },
    expire_at: [1_900_000_000, { expireAt: 1_900_000_000 }],
    info: [{ a: 1 }, { info: '{"a":1}' }],
  },
  presence: { channel: ["chat:a", "chat:a"] },
  presence_stats: { channel: ["chat:a", "chat:a"] },
  history: {
    channel: ["chat:a", "chat:a"],
    limit: [-1, { limit: 10_000 }],
    since: [{ offset: 5 }, { since: { offset: 5, epoch: "" } }],
    reverse: [true, { reverse: true }],
  },
  history_remove: { channel: ["chat:a", "chat:a"] },
  channels: { pattern: ["a*", "a*"] },
  connections: { user: ["ann", "ann"], expression: ["x", 108], ...NARROWED },
  info: {},
};

/** What each method cannot do without. */
const NEEDED: Readonly<Record<string, object>> = {
  publish: { channel: "chat:x", data: "" },
  broadcast: { channels: ["chat:x"], data: "" },
  subscribe: { channel: "chat:x", user: "bob" },
  unsubscribe: { channel: "chat:x", user: "bob" },
  ...{ disconnect: { user: "bob" }, refresh: { user: "bob" }, connections: { user: "bob" } },
  ...{ presence: { channel: "chat:x" }, presence_stats: { channel: "chat:x" } },
  ...{ history: { channel: "chat:x" }, history_remove: { channel: "chat:x" } },
};

/** An API whose operations only note what they are asked. */
function api() {
  const asked: unknown[][] = [];
  const operations = new Proxy({} as Operations, {
    get:
      () =>
      (...args: unknown[]) => {
        asked.push(args);
        throw new CommandError(Errors.timeout);
      },
  });
  const deps = { operations, keys: ["key"], maxRequestBytes: 1e6, version: "0", log: silent };
  const app = serverApi({ ...deps, stats: new Stats() });
  return {
    asked,
    async call(method: string, params: object) {
      const init = { method: "POST", headers: { "x-api-key": "key" }, body: JSON.stringify(params) };
      const answer = (await (await app.request(`/${method}`, init)).json()) as {
        error: { code: number; message: string };
      };
      return answer.error;
    },
  };
}

const rows = Object.entries(PUBLISHED).flatMap(([method, members]) =>
  Object.entries(members).map(([member, [value, becomes]]) => [method, member, value, becomes] as const),
);

test.each(rows)(
  "%s with %s is honoured, or refused with a reason",
  async (method, member, value, becomes) => {
    const { asked, call } = api();
    const error = await call(method, { ...NEEDED[method], [member]: value, of_tomorrow: { a: 1 } });
    if (typeof becomes === "number") {
      expect(error.code).toBe(becomes);
      expect(error.message).toContain(`${member}: `);
      expect(asked).toEqual([]);
      return;
    }
    expect(error.code).toBe(Errors.timeout.code); // it came as far as the operation
    if (becomes === undefined) return;
    const shape =
      typeof becomes === "object" && becomes?.constructor === Object
        ? expect.objectContaining(becomes)
        : becomes;
    expect(asked[0]).toContainEqual(shape);
  },
);

test.each(Object.keys(PUBLISHED))("%s takes what SDKs send for what is not given", async (method) => {
  const members = Object.keys(PUBLISHED[method]!);
  const empty = Object.fromEntries(members.map((member) => [member, null]));
  const { call } = api();
  expect((await call(method, { ...empty, ...NEEDED[method] })).code).toBe(Errors.timeout.code);
});

test("every method of the published API but those of its commercial edition is there", async () => {
  expect(Object.keys(PUBLISHED).filter((method) => !METHODS.has(method))).toEqual([]);
  const { call } = api();
  for (const method of ["block_user", "device_register", "get_user_status", "rpc"]) {
    expect((await call(method, {})).code).toBe(Errors.methodNotFound.code);
  }
});

test.each([
  ["publish", { channel: "a", data: 1, skip_history: true, idempotency_key: "k" }, "idempotency_key"],
  ["publish", { channel: "a", data: 1, skip_history: true, version: 3 }, "version"],
  ["subscribe", { user: "a", channel: "a", b64data: "AAH/" }, "b64data"],
  ["subscribe", { user: "a", channel: "a", expire_at: -1 }, "expire_at"],
  ["disconnect", { user: "a", disconnect: { code: 1000, reason: "" } }, "disconnect.code"],
])("%s refuses what cannot be done: %p", async (method, params, named) => {
  const { asked, call } = api();
  expect(await call(method, params)).toMatchObject({ code: 107, message: expect.stringContaining(named) });
  expect(asked).toEqual([]);
});
