import { describe, expect, test } from "bun:test";
import { silent } from "../../src/core/log.ts";
import { consoleApp } from "../../src/http/console/app.ts";
import { CONSOLE_METHODS } from "../../src/http/console/methods.ts";
import { createWorld, startGateway, type TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

const LOOKS = "looks-0123456789abcdef";
const ACTS = "acts-0123456789abcdefg";
const READS = "reads-0123456789abcdef";

function consoleAppOf({ gateway, broker, presence }: TestGateway, open = false) {
  return consoleApp({
    ...{ operations: gateway.operations, oversight: gateway.oversight, version: "0" },
    ...{ instance: "here", region: "eu", assets: new Map(), settings: () => [], log: silent },
    access: {
      tokens: open ? [] : [`lea:look:${LOOKS}`, `ada:act:${ACTS}`, `rea:look+payloads:${READS}`],
      open,
    },
    broker: () => broker.port.status(),
    presence: () => presence.port.status(),
  });
}

function consoleOf(gateway: TestGateway, open = false) {
  const app = consoleAppOf(gateway, open);
  return async (secret: string | undefined, method: string, params: object = {}, headers = {}) => {
    const response = await app.request(`http://gw.example/api/${method}`, {
      method: "POST",
      headers: { host: "gw.example", ...(secret && { authorization: `Bearer ${secret}` }), ...headers },
      body: JSON.stringify(params),
    });
    const body = (await response.json()) as { result?: never; error?: { code: number; message: string } };
    return { status: response.status, headers: response.headers, ...body };
  };
}

/** What the audit was told. */
const audited = ({ world }: TestGateway) =>
  world.bus.events
    .filter(({ kind }) => kind === "audit")
    .map(({ event }) => event as Record<string, unknown>);

describe("the console's API", () => {
  test("a trace is for who has signed in, and told of in the audit", async () => {
    await using gateway = await startGateway();
    const app = consoleAppOf(gateway);
    const ask = (secret?: string) =>
      app.request("http://gw.example/api/trace?user=u7&instance=there&payloads=true&api_key=k", {
        headers: secret ? { authorization: `Bearer ${secret}` } : {},
      });
    expect((await ask()).status).toBe(401);
    const answer = await ask(LOOKS);
    expect(answer.headers.get("content-type")).toStartWith("text/event-stream");
    await answer.body?.cancel();
    expect(audited(gateway)).toEqual([
      {
        ...{ type: "audit", timeMs: expect.any(Number), instance: "here", region: "eu" },
        ...{
          action: "traced",
          kind: "trace",
          user: "u7",
          of: "there",
          payloads: false,
          via: "console",
          by: "lea",
        },
      },
    ]);
  });

  test("knows people by their secrets, and refuses what they have no right to", async () => {
    await using gateway = await startGateway();
    const ask = consoleOf(gateway);
    expect((await ask(undefined, "session")).result).toBeNull();
    expect((await ask(undefined, "overview")).status).toBe(401);
    expect((await ask("wrong-0123456789abcdef", "session")).status).toBe(401);
    expect((await ask(LOOKS, "session")).result).toMatchObject({
      name: "lea",
      rights: ["look"],
      open: false,
    });
    expect((await ask(ACTS, "session")).result).toMatchObject({ name: "ada", rights: ["look", "act"] });
    const { headers, ...overview } = await ask(LOOKS, "overview");
    expect(overview.result).toMatchObject({ missing: [], partial: false, instances: [{ instance: "here" }] });
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect((await ask(LOOKS, "publish", { channel: "chat:a", data: 1 })).status).toBe(403);
    expect((await ask(READS, "block", { user: "u" })).status).toBe(403);
    expect((await ask(ACTS, "history", { channel: "chat:a", payloads: true })).status).toBe(403);
    expect((await ask(ACTS, "nothing")).status).toBe(404);
    expect((await ask(ACTS, "publish", { channel: "chat:a" })).status).toBe(400);
  });

  test("each method but those that only look asks for a right, and is told of in the audit", () => {
    const looking = [...CONSOLE_METHODS].filter(
      ([, { right }]) => right?.({ payloads: true } as never) === undefined,
    );
    expect(looking.map(([name]) => name).sort()).toEqual([
      ...["channels", "outbox", "overview", "restrictions", "settings", "streams", "troubles", "why"],
    ]);
  });

  test("what is done is in the audit, with who did it; what failed, too", async () => {
    await using gateway = await startGateway();
    const ask = consoleOf(gateway);
    await ask(ACTS, "publish", { channel: "chat:a", data: { n: 1 } });
    await ask(ACTS, "publish", { channel: "nowhere:a", data: 1 });
    await ask(ACTS, "block", { user: "u7", reason: "spam" });
    await ask(ACTS, "disconnect", { user: "u7" });
    await ask(READS, "history", { channel: "chat:a", payloads: true });
    await ask(LOOKS, "history", { channel: "chat:a" });
    const ada = { via: "console", by: "ada" };
    expect(audited(gateway)).toMatchObject([
      { action: "published", kind: "channel", target: "chat:a", ...ada },
      { action: "published", target: "nowhere:a", failed: "unknown channel", ...ada },
      { action: "restricted", user: "u7", reason: "spam", ...ada },
      { action: "disconnected", kind: "user", target: "u7", ...ada },
      { action: "read", kind: "history", target: "chat:a", via: "console", by: "rea" },
    ]);
  });

  test("messages are shown without what is in them, unless that is asked for", async () => {
    await using gateway = await startGateway();
    const ask = consoleOf(gateway);
    await gateway.gateway.operations.publish("chat:a", '{"secret":1}', { tags: { t: "x" } });
    const { result } = await ask(LOOKS, "history", { channel: "chat:a" });
    expect(JSON.stringify(result)).not.toContain("secret");
    expect(result).toMatchObject({ publications: [{ bytes: 12, priority: "normal", binary: false }] });
    const read = await ask(READS, "history", { channel: "chat:a", payloads: true });
    expect(read.result).toMatchObject({ publications: [{ data: '{"secret":1}', tags: { t: "x" } }] });
  });

  test("an open console takes no foreign page's word", async () => {
    await using gateway = await startGateway();
    const ask = consoleOf(gateway, true);
    const from = async (origin: string) => (await ask(undefined, "overview", {}, { origin })).status;
    expect((await ask(undefined, "session")).result).toMatchObject({ open: true, name: "dev" });
    expect(await from("http://gw.example")).toBe(200);
    expect(await from("http://evil.example")).toBe(401);
    expect(await from("null")).toBe(401);
  });

  test("an instance that does not answer is named, and one's own figures come without a broker", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    const there = await startGateway({ world, instance: "there" });
    const ask = consoleOf(here);
    await eventually(async () => {
      expect((await ask(LOOKS, "overview")).result).toMatchObject({ partial: false, missing: [] });
    });
    await there.broker.port.close();
    expect((await ask(LOOKS, "overview")).result).toMatchObject({
      ...{ partial: true, missing: [{ instance: "there", region: "eu" }] },
      instances: [{ instance: "here" }],
    });
    await here.broker.port.close();
    const { result, ...rest } = await ask(LOOKS, "overview");
    expect(result).toMatchObject({ instances: [{ instance: "here", broker: { state: "closed" } }] });
    expect(rest).toMatchObject({ at: { broker: { state: "closed" }, presence: "ok" } });
    await there[Symbol.asyncDispose]();
  });
});
