import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { passwordOf, type RolesServer, rolesServer } from "../helpers/nats-roles.ts";
import { redisServer } from "../helpers/servers.ts";
import { inTerminal, NO_NOISE } from "../helpers/terminal.ts";
import { until } from "../helpers/until.ts";

/** The commands of whoever looks after a system: in a terminal, over NATS as an operator, and over an instance's API. */

const stack = new AsyncDisposableStack();
let nats: RolesServer;
let a: TestInstance;
let b: TestInstance;
let overNats: Record<string, string>;
const overHttp = { TRUNKLINE_API_KEYS: TEST_API_KEY };

beforeAll(async () => {
  nats = stack.use(await rolesServer("passwords"));
  const redis = stack.use(await redisServer());
  const env = { ...nats.gateway, REDIS_URL: redis.url, TRUNKLINE_TRACE_PAYLOADS: "true" };
  a = stack.use(await startInstance({ env: { ...env, INSTANCE_ID: "a" } }));
  b = stack.use(await startInstance({ env: { ...env, INSTANCE_ID: "b" } }));
  overNats = { NATS_URL: nats.url.replace("://", `://operator:${passwordOf("operator")}@`) };
}, 60_000);

afterAll(() => stack.disposeAsync());

/** Runs a command as an operator, in a terminal. */
async function shown(command: string, ...args: string[]): Promise<string> {
  const { code, output } = await inTerminal(command, {
    args,
    shows: /./,
    env: { ...overNats, NO_COLOR: "1" },
  });
  expect(output).not.toMatch(NO_NOISE);
  expect(code, output).toBe(0);
  return output.replaceAll("\r", "");
}

/** Runs a command for a program: through instance b, as JSON. */
async function json<T>(...args: string[]): Promise<T> {
  const { code, out, err } = await trunkline([...args, "--json", "--url", b.url], { env: overHttp });
  expect(code, err).toBe(0);
  return JSON.parse(out) as T;
}

describe("of a user and a channel", () => {
  test("it is shown what they are, kept and refused, by both ways", async () => {
    using u7 = testClient(a.websocket, { user: "u7" });
    const { client } = await u7.connected();
    await u7.subscribe("chat:room");
    await u7.subscribe("nowhere:room").catch(() => {});

    expect(await shown("publish", "chat:room", '{"n":12345678901234567890}')).toMatch(
      /^stored in chat:room at \d+/,
    );
    const published = await json<{ offset: number; duplicate: boolean }>(
      "publish",
      "chat:room",
      "2",
      "--id",
      "k",
    );
    expect(published.duplicate).toBe(false);
    expect(await shown("publish", "chat:room", "2", "--id", "k")).toContain(
      `stored before in chat:room at ${published.offset}`,
    );

    const user = await shown("user", "u7");
    expect(user).toMatch(new RegExp(`^${client} on a \\(local\\)$`, "m"));
    expect(user).toMatch(/^ {2}js by websocket from 127\.0\.0\.1, since \d+ s ago, last heard \d+ s ago$/m);
    expect(user).toMatch(
      new RegExp(`^ {2}chat:room +at ${published.offset} .*may publish, presence, history$`, "m"),
    );
    expect(user).toMatch(/^ {2}user:u7 +at \d+ +subscribed by the server/m);
    expect(user).toMatch(/subscribe of nowhere:room refused +102 unknown channel +a$/m);
    expect(await json("user", "u7")).toMatchObject({
      ...{ user: "u7", blocked: false, partial: false },
      connections: [{ client, instance: "a", subscriptions: 2, address: "127.0.0.1" }],
      troubles: [{ what: "subscribe", channel: "nowhere:room", code: 102, instance: "a" }],
    });
    expect(await shown("user", "nobody")).toContain("nobody has no connection");

    const channel = await shown("channel", "chat:room");
    expect(channel).toMatch(/^subscribers +1$/m);
    expect(channel).toMatch(/1 on a \(local\), at \d+$/m);
    expect(channel).toMatch(new RegExp(`^newest +${published.offset}, stored \\d+ s ago, 1 B$`, "m"));
    expect(channel).toMatch(/max_message_bytes 65536/);
    expect(await json("channel", "chat:room")).toMatchObject({
      ...{ subscribers: 1, position: { offset: published.offset }, newest: { bytes: 1 }, partial: false },
      instances: expect.arrayContaining([expect.objectContaining({ instance: "a", subscribers: 1 })]),
    });

    const history = await shown("history", "chat:room");
    expect(
      history
        .trim()
        .split("\n")
        .map((line) => line.split(/ {2,}/).at(-1)),
    ).toEqual(['{"n":12345678901234567890}', "2"]);

    expect(await shown("kick", "u7")).toMatch(
      new RegExp(`^${client} +on a +since \\d+ s ago +is closed`, "m"),
    );
    await until(() => u7.centrifuge.state === "disconnected");
    expect(await shown("user", "u7")).toMatch(/connection ended +3503 force disconnect/);
  }, 60_000);
});

describe("of the whole system", () => {
  test("who runs, who is busy, and the level of the log", async () => {
    expect(await shown("instances")).toMatch(/^local {2}a .*\nlocal {2}b /m);
    using busy = testClient(b.websocket, { user: "busy" });
    await busy.connected();
    await busy.subscribe("chat:busy");
    const counting = shown("top", "--seconds", "5");
    const publishing = setInterval(
      () => void a.api("publish", { channel: "chat:busy", data: "x".repeat(100) }),
      50,
    );
    const top = await counting.finally(() => clearInterval(publishing));
    expect(top).toMatch(/^chat:busy +\d+\.\d\/s +[\d.]+ K?B\/s/m);
    expect(top).toMatch(/^[0-9a-f-]+ busy b +0\.0\/s/m);
    expect(top).toMatch(/^b local /m);
    const { channels } = await json<{ channels: unknown[] }>("top", "--seconds", "1", "--limit", "1");
    expect(channels.length).toBeLessThan(2);

    expect(await shown("level", "debug", "--instance", "a", "--seconds", "60")).toMatch(/^a +debug/);
    expect(await json("level")).toEqual({ levels: { a: "debug", b: "info" } });
  }, 60_000);
});

describe("a trace", () => {
  test.each(["over NATS, as an operator", "over the API of an instance"])(
    "is followed %s",
    async (way) => {
      const nats = way.startsWith("over NATS");
      const args = ["--user", "u8", "--payloads", ...(nats ? [] : ["--url", b.url])];
      const seen = /delivered u8 \S+ chat:tail .*data="tail"/;
      const following = inTerminal("tail", {
        args,
        shows: seen,
        interrupt: true,
        env: { ...(nats ? overNats : overHttp), NO_COLOR: "1" },
      });
      using u8 = testClient(a.websocket, { user: "u8" });
      await u8.connected();
      await u8.subscribe("chat:tail");
      const publishing = setInterval(
        () => void a.api("publish", { channel: "chat:tail", data: "tail" }),
        100,
      );
      const { code, output } = await following.finally(() => clearInterval(publishing));
      expect(output).toMatch(/^looking at a, b\r?$/m);
      expect(output).toMatch(seen);
      expect(output).not.toMatch(NO_NOISE);
      expect(code).toBe(0);
    },
    60_000,
  );
});

describe("a command's own help", () => {
  test.each(["why", "serve", "bench", "token", "outbox"])(
    "is named where a flag of %s is wrong",
    async (name) => {
      const { code, err } = await trunkline([name, "--nosuchflag"]);
      expect([code, err]).toEqual([1, expect.stringContaining(`(trunkline ${name} --help lists its flags)`)]);
    },
  );

  test("where the reader goes away, a command ends without a word", async () => {
    const ends = "npx bun src/main.ts config --schema | head -c 1 > /dev/null";
    const shell = Bun.spawn(["bash", "-c", ends], { stdout: "pipe", stderr: "pipe" });
    expect([await new Response(shell.stderr).text(), await shell.exited]).toEqual(["", 0]);
  });
});
