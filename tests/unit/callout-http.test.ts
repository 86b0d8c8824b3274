import { describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import type { Callouts } from "../../src/auth/auth.ts";
import { CommandError, ConnectionError, Errors } from "../../src/core/errors.ts";
import { arriving, SOUND, UNSOUND } from "../helpers/doors/documents.ts";
import { asking, HttpBackend } from "../helpers/http-backend.ts";

const ASKER = {
  ...{ client: "c1", user: "42", protocol: "centrifuge-json", transport: "websocket", ip: "192.0.2.1" },
  ...{ meta: '{"plan": 1.0}' },
};
const CONNECT = { ...ASKER, user: "", name: "", version: "", channels: [], commandHeaders: {} };
const ABOUT = '"client":"c1","transport":"websocket","protocol":"json","encoding":"json"';
const NUMBER = "12345678901234567890";

const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

async function errorOf(promise: Promise<unknown>) {
  const error = await caught(promise);
  expect(error).toBeInstanceOf(CommandError);
  return (error as CommandError).error;
}

/** Every question that can be asked, with a payload where it has one. */
const QUESTIONS: Readonly<Record<string, (to: Callouts, data: string) => Promise<unknown>>> = {
  connect: (to, data) => to.connect({ ...CONNECT, data }),
  refresh: (to) => to.refresh(ASKER),
  subscribe: (to, data) => to.subscribe({ ...ASKER, channel: "chat:1", data }),
  sub_refresh: (to) => to.subRefresh({ ...ASKER, channel: "chat:1" }),
  publish: (to, data) => to.publish({ ...ASKER, channel: "chat:1", data }),
  rpc: (to, data) => to.rpc({ ...ASKER, method: "sum", data }),
};
const KINDS = Object.keys(QUESTIONS);

/** A good answer to any of them. */
const GOOD = `{"result":{"user":"42","expire_at":${Math.floor(Date.now() / 1000) + 3_600}}}`;

describe("a question", () => {
  test("is a POST in the shape of Centrifugo's proxies, its payload as it was written", async () => {
    await using backend = new HttpBackend(() => GOOD);
    const { callouts } = asking(`${backend.url}/at/{event}?key=1`);
    for (const ask of Object.values(QUESTIONS)) await ask(callouts, `{"n": ${NUMBER}}`);
    const data = `"data":{"n": ${NUMBER}}`;
    expect(backend.asked.map(({ method, path, body }) => [method, path, body])).toEqual([
      ["POST", "/at/connect?key=1", `{${ABOUT},${data}}`],
      ["POST", "/at/refresh?key=1", `{${ABOUT},"user":"42"}`],
      ["POST", "/at/subscribe?key=1", `{${ABOUT},"user":"42","channel":"chat:1",${data}}`],
      ["POST", "/at/sub_refresh?key=1", `{${ABOUT},"user":"42","channel":"chat:1"}`],
      ["POST", "/at/publish?key=1", `{${ABOUT},"user":"42","channel":"chat:1",${data}}`],
      ["POST", "/at/rpc?key=1", `{${ABOUT},"user":"42","method":"sum",${data}}`],
    ]);
    for (const { headers } of backend.asked) expect(headers["content-type"]).toBe("application/json");
  });

  test("says what the client says of itself, and by what it is connected", async () => {
    await using backend = new HttpBackend(() => GOOD);
    const { callouts } = asking(backend.url);
    const client = { protocol: "centrifuge-protobuf", transport: "http_stream", name: "app", version: "1.2" };
    await callouts.connect({ ...CONNECT, ...client, channels: ["news"] });
    expect(JSON.parse(backend.asked[0]!.body)).toEqual({
      ...{ client: "c1", transport: "http_stream", protocol: "protobuf", encoding: "json" },
      ...{ name: "app", version: "1.2", channels: ["news"] },
    });
  });

  test("has the connection's meta and payloads as base64 only where the endpoint wants them", async () => {
    await using backend = new HttpBackend(() => GOOD);
    const { callouts } = asking(backend.url, { meta: true, base64: true });
    await callouts.publish({ ...ASKER, channel: "chat:1", data: "[1.0]" });
    await callouts.publish({ ...ASKER, channel: "chat:1", b64data: "AAE=" });
    const [text, bytes] = backend.asked.map(({ body }) => body);
    expect(text).toContain('"encoding":"binary"');
    expect(text).toContain('"b64data":"WzEuMF0=","meta":{"plan": 1.0}');
    expect(text).not.toContain('"data"');
    expect(bytes).toContain('"b64data":"AAE="');
    // Bytes are base64 for whoever is asked.
    await asking(backend.url).callouts.publish({ ...ASKER, channel: "chat:1", b64data: "AAE=" });
    expect(backend.asked[2]!.body).toContain('"encoding":"binary"');
  });
});

describe("headers", () => {
  const passed = { cookie: "session=1", "x-request-id": "r1", "x-forwarded-for": "6.6.6.6" };
  const client = { ...ASKER, headers: passed, emulated: { authorization: "Bearer t", cookie: "forged=1" } };

  test("of the client are passed on where the endpoint lists them, its own before those it only writes", async () => {
    await using backend = new HttpBackend(() => GOOD);
    const lists = { headers: ["cookie", "x-forwarded-for"], emulatedHeaders: ["authorization", "cookie"] };
    const { callouts } = asking(backend.url, { ...lists, addHeaders: { "X-Key": "secret-key" } });
    await callouts.refresh(client);
    await callouts.refresh({ ...ASKER, emulated: { cookie: "forged=1" } });
    const [first, second] = backend.asked.map(({ headers }) => headers);
    expect(first).toMatchObject({ cookie: "session=1", authorization: "Bearer t", "x-key": "secret-key" });
    expect(first!["x-request-id"]).toBeUndefined();
    expect(second).toMatchObject({ cookie: "forged=1" });
  });

  test("with an address hold the one that was found, not what the client wrote", async () => {
    await using backend = new HttpBackend(() => GOOD);
    await asking(backend.url, { headers: ["x-forwarded-for", "x-real-ip"] }).callouts.refresh(client);
    expect(backend.asked[0]!.headers).toMatchObject({
      ...{ "x-forwarded-for": "192.0.2.1", "x-real-ip": "192.0.2.1", "trunkline-ip": "192.0.2.1" },
    });
  });

  test("none else reach the backend", async () => {
    await using backend = new HttpBackend(() => GOOD);
    await asking(backend.url).callouts.refresh(client);
    const { cookie, authorization, "x-request-id": id } = backend.asked[0]!.headers;
    expect([cookie, authorization, id]).toEqual([undefined, undefined, undefined]);
  });
});

describe("an answer", () => {
  // biome-ignore lint/suspicious/noExplicitAny: each is another port answer, and only its texts are looked at
  const ANSWERS: Readonly<Record<string, (document: string) => [string, (answer: any) => unknown]>> = {
    connect: (document) => [
      `{"result":{"user":"1","data":${document},"info":${document},"meta":${document},` +
        `"subs":{"a":{"data":${document},"info":${document}}}}}`,
      ({ data, info, meta, subscriptions }) => [
        data,
        info,
        meta,
        subscriptions[0].data,
        subscriptions[0].info,
      ],
    ],
    refresh: (document) => [
      `{"result":{"expire_at":9999999999,"info":${document},"meta":${document}}}`,
      ({ info, meta }) => [info, meta],
    ],
    subscribe: (document) => [
      `{"result":{"data":${document},"info":${document}}}`,
      ({ data, info }) => [data, info],
    ],
    sub_refresh: (document) => [`{"result":{"info":${document}}}`, ({ info }) => [info]],
    publish: (document) => [`{"result":{"data":${document}}}`, ({ data }) => [data]],
    rpc: (document) => [`{"result":{"data":${document}}}`, (answer) => [answer]],
  };

  test("can be given to every question", () => expect(Object.keys(ANSWERS)).toEqual(KINDS));

  describe.each(KINDS)("to %s", (kind) => {
    test.each(Object.entries(SOUND))("is carried as it came: %s", async (_, document) => {
      const [text, pick] = ANSWERS[kind]!(document);
      await using backend = new HttpBackend(() => text);
      const answer = await QUESTIONS[kind]!(asking(backend.url).callouts, document);
      const found = pick(answer) as string[];
      expect(found.map(arriving)).toEqual(found.map(() => arriving(document)));
      for (const one of found) expect(one).not.toMatch(/[\r\n]/);
    });

    test.each(Object.entries(UNSOUND))("is refused: %s", async (_, document) => {
      const [text] = ANSWERS[kind]!(document);
      await using backend = new HttpBackend(() => text);
      const { callouts, stats } = asking(backend.url);
      expect(await errorOf(QUESTIONS[kind]!(callouts, "1"))).toEqual(Errors.internal);
      expect([...stats.callouts]).toEqual([[`backend ${kind} malformed`, 1]]);
    });
  });

  test("says who somebody is, and what they may do", async () => {
    const subs = { "chat:1": { b64info: btoa("[1.0]"), override: { presence: { value: false } } } };
    const caps = [{ channels: ["game:*"], match: "wildcard", allow: ["pub"] }];
    const result = {
      user: "42",
      expire_at: 1_900_000_000,
      channels: ["news"],
      subs,
      caps,
      b64data: btoa("[2.0]"),
    };
    await using backend = new HttpBackend(() => JSON.stringify({ result }));
    const identity = await asking(backend.url).callouts.connect(CONNECT);
    expect(identity).toMatchObject({ user: "42", expiresAt: 1_900_000_000, data: "[2.0]" });
    expect(identity.subscriptions).toMatchObject([
      { channel: "news" },
      { channel: "chat:1", info: "[1.0]", presence: false },
    ]);
    expect(identity.capabilities[0]!.matches("game:1")).toBe(true);
  });

  test("to a publish may replace what is published, by text or bytes, and mark it", async () => {
    const answers = ['{"result":{"b64data":"AP8="}}', '{"result":{"tags":{"a":"b"},"idempotency_key":"k1"}}'];
    await using backend = new HttpBackend(() => answers.shift()!);
    const { callouts } = asking(backend.url);
    const question = { ...ASKER, channel: "chat:1", data: "1" };
    expect(await callouts.publish(question)).toEqual({ data: new Uint8Array([0, 255]) });
    expect(await callouts.publish(question)).toEqual({ tags: { a: "b" }, id: "k1" });
  });

  test.each<[string, string, object]>([
    ["a date", '{"expire_at":1900000000}', { expired: false, expiresAt: 1_900_000_000 }],
    ["a date that is past", '{"expire_at":1}', { expired: true }],
    ["that it is over", '{"expired":true,"expire_at":1900000000}', { expired: true }],
  ])("to a refresh is %s", async (_, result, renewal) => {
    await using backend = new HttpBackend(() => `{"result":${result}}`);
    const { callouts } = asking(backend.url);
    expect(await callouts.refresh(ASKER)).toMatchObject(renewal);
    expect(await callouts.subRefresh({ ...ASKER, channel: "c" })).toMatchObject(renewal);
  });

  test("to a refresh without a date ends a connection, and lets a subscription be", async () => {
    // PHP writes an empty object as an empty list.
    await using backend = new HttpBackend(() => '{"result":[]}');
    const { callouts } = asking(backend.url);
    expect(await callouts.refresh(ASKER)).toEqual({ expired: true });
    expect(await callouts.subRefresh({ ...ASKER, channel: "c" })).toEqual({ expired: false });
  });

  test.each(KINDS)("to %s may be an error or a disconnect", async (kind) => {
    const answers = [
      '{"error":{"code":1000,"message":"no"}}',
      '{"error":{"code":1000,"message":"later","temporary":true},"result":null}',
      '{"disconnect":{"code":4501,"reason":"go"},"error":null}',
    ];
    await using backend = new HttpBackend(() => answers.shift()!);
    const { callouts, lines, stats } = asking(backend.url);
    const ask = () => QUESTIONS[kind]!(callouts, "1");
    expect(await errorOf(ask())).toEqual({ code: 1000, message: "no" });
    expect(await errorOf(ask())).toEqual({ code: 1000, message: "later", temporary: true });
    const end = (await caught(ask())) as ConnectionError;
    expect(end).toBeInstanceOf(ConnectionError);
    expect(end.close).toEqual({ code: 4501, reason: "go" });
    expect(lines).toEqual([]);
    expect(Object.fromEntries(stats.callouts)).toEqual({
      [`backend ${kind} error`]: 2,
      [`backend ${kind} disconnect`]: 1,
    });
  });

  test.each<[string, string, string[]]>([
    ["no JSON", "<html>", KINDS],
    ["empty", "", KINDS],
    ["neither result nor error", "{}", KINDS],
    ["a result that is null", '{"result":null}', KINDS],
    ["a result that is a text", '{"result":"ok"}', KINDS],
    ["a list", "[]", KINDS],
    ["an error without a code", '{"error":{"message":"no"}}', KINDS],
    ["an error with a code of another range", '{"error":{"code":3000,"message":"no"}}', KINDS],
    ["a disconnect with a code of another range", '{"disconnect":{"code":1000,"reason":""}}', KINDS],
    ["no user", '{"result":{}}', ["connect"]],
    ["a user that is a number", '{"result":{"user":42}}', ["connect"]],
    ["recovery nobody here does", '{"result":{"user":"1","subs":{"a":{"cache_recover":true}}}}', ["connect"]],
    ["a date that is a text", '{"result":{"expire_at":"soon"}}', ["refresh", "subscribe", "sub_refresh"]],
    ["a filter nobody here has", '{"result":{"server_tags_filter":{"key":"a"}}}', ["subscribe"]],
    ["info that is no JSON", `{"result":{"b64info":"${btoa("no")}"}}`, ["subscribe"]],
    ["a wish about history", '{"result":{"skip_history":true}}', ["publish"]],
    ["a version", '{"result":{"version":7}}', ["publish"]],
    ["base64 that is none", '{"result":{"b64data":"§"}}', ["publish"]],
  ])("lets nobody through, and is logged: %s", async (_, text, kinds) => {
    await using backend = new HttpBackend(() => text);
    for (const kind of kinds) {
      const { callouts, lines, stats } = asking(`${backend.url}/secret-path`);
      expect(await errorOf(QUESTIONS[kind]!(callouts, "1"))).toEqual(Errors.internal);
      expect([...stats.callouts]).toEqual([[`backend ${kind} malformed`, 1]]);
      expect(lines).toMatchObject([{ level: "warn", message: "callout failed", endpoint: "backend", kind }]);
      expect(JSON.stringify(lines)).not.toContain("secret-path");
    }
  });

  test("that is not UTF-8 is malformed", async () => {
    await using backend = new HttpBackend(() => new Response(new Uint8Array([123, 255, 125])));
    const { callouts, stats } = asking(backend.url);
    expect(await errorOf(callouts.refresh(ASKER))).toEqual(Errors.internal);
    expect([...stats.callouts]).toEqual([["backend refresh malformed", 1]]);
  });
});

describe("without a good answer", () => {
  test.each([400, 401, 403, 404, 419, 500, 502, 503])(
    "status %d is our failure, not the client's",
    async (status) => {
      await using backend = new HttpBackend(() => new Response(GOOD, { status }));
      const { callouts, stats } = asking(backend.url);
      expect(await errorOf(callouts.connect(CONNECT))).toEqual(Errors.internal);
      expect([...stats.callouts]).toEqual([[`backend connect status_${status}`, 1]]);
    },
  );

  test("a backend that has too much says so to the client", async () => {
    await using backend = new HttpBackend(() => new Response("slow down", { status: 429 }));
    expect(await errorOf(asking(backend.url).callouts.connect(CONNECT))).toEqual(Errors.tooManyRequests);
  });

  test("a status means what the settings say", async () => {
    const statuses = [403, 404, 503];
    await using backend = new HttpBackend(() => new Response("", { status: statuses.shift()! }));
    const { callouts } = asking(backend.url, {
      statuses: new Map([
        [403, { error: { code: 403, message: "permission denied", temporary: false } }],
        [404, { disconnect: { code: 4904, reason: "not found" } }],
        [503, { error: { code: 503, message: "later", temporary: true } }],
      ]),
    });
    expect(await errorOf(callouts.connect(CONNECT))).toEqual({ code: 403, message: "permission denied" });
    const end = (await caught(callouts.connect(CONNECT))) as ConnectionError;
    expect(end.close).toEqual({ code: 4904, reason: "not found" });
    expect(await errorOf(callouts.connect(CONNECT))).toMatchObject({ code: 503, temporary: true });
  });

  test("a redirect is not followed", async () => {
    await using target = new HttpBackend(() => GOOD);
    await using backend = new HttpBackend(() => Response.redirect(target.url, 307));
    const { callouts, stats } = asking(backend.url, { addHeaders: { "X-Key": "secret" } });
    expect(await errorOf(callouts.connect(CONNECT))).toEqual(Errors.internal);
    expect([target.asked.length, [...stats.callouts.keys()]]).toEqual([0, ["backend connect status_307"]]);
  });

  test("a backend that is silent, or never ends, is given up in time", async () => {
    const never = new Promise<Response>(() => {});
    const endless = () =>
      new Response(new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode("{")) }));
    for (const answer of [() => never, endless]) {
      await using backend = new HttpBackend(answer);
      const { callouts, stats } = asking(backend.url, { timeoutMs: 50 });
      expect(await errorOf(callouts.rpc({ ...ASKER, method: "m", data: "1" }))).toEqual(Errors.internal);
      expect([...stats.callouts]).toEqual([["backend rpc timeout", 1]]);
      expect(stats.calloutsUnderWay).toBe(0);
    }
  });

  test("an answer has a longest size, whatever its headers say", async () => {
    const long = `{"result":{"data":"${"x".repeat(2_000)}"}}`;
    const parts = () => new Response(new Blob([long.slice(0, 900), long.slice(900)]).stream());
    for (const answer of [() => long, parts]) {
      await using backend = new HttpBackend(answer);
      const { callouts, stats } = asking(backend.url, { answerBytes: 1_000 });
      expect(await errorOf(callouts.rpc({ ...ASKER, method: "m", data: "1" }))).toEqual(Errors.internal);
      expect([...stats.callouts]).toEqual([["backend rpc too_long", 1]]);
    }
  });

  test("nobody at the address, or somebody who hangs up", async () => {
    const rude = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => rude.listen(0, "127.0.0.1", resolve));
    const { port } = rude.address() as { port: number };
    const { callouts, lines, stats } = asking(`http://127.0.0.1:${port}/secret?key=secret`);
    expect(await errorOf(callouts.connect({ ...CONNECT, headers: { cookie: "secret" } }))).toEqual(
      Errors.internal,
    );
    await new Promise((resolve) => rude.close(resolve));
    expect(await errorOf(callouts.connect(CONNECT))).toEqual(Errors.internal);
    expect(Object.fromEntries(stats.callouts)).toEqual({ "backend connect unreachable": 2 });
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).not.toContain("secret");
  });

  test("more requests than may be under way are refused at once", async () => {
    const gate = Promise.withResolvers<string>();
    await using backend = new HttpBackend(() => gate.promise);
    const { callouts, stats } = asking(backend.url, { inFlight: 2 });
    const [one, two] = [callouts.refresh(ASKER), callouts.refresh(ASKER)];
    expect(await errorOf(callouts.refresh(ASKER))).toEqual(Errors.tooManyRequests);
    expect(stats.calloutsUnderWay).toBe(2);
    gate.resolve(GOOD);
    expect(await Promise.all([one, two])).toMatchObject([{ expired: false }, { expired: false }]);
    expect(await callouts.refresh(ASKER)).toMatchObject({ expired: false });
    expect(Object.fromEntries(stats.callouts)).toEqual({
      "backend refresh busy": 1,
      "backend refresh ok": 3,
    });
    expect([...stats.calloutLatency.entries()]).toMatchObject([[["refresh", "ok"], { count: 3 }]]);
  });
});
