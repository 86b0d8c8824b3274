import { describe, expect, test } from "bun:test";
import { createLogger } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { Presence } from "../../src/presence/presence.ts";
import type { RedisLink } from "../../src/presence/redis/link.ts";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { upstashLink } from "../../src/presence/redis/link-upstash.ts";
import { redisPresence } from "../../src/presence/redis/redis.ts";
import { connection, info, sweptLog } from "../contract/presence.ts";
import { redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";
import { upstashBridge } from "../helpers/upstash-bridge.ts";

const LEASE_TTL_MS = 600;
const RENEW_MS = 200;
const TIMEOUT_MS = 150;

interface Running extends AsyncDisposable {
  readonly presence: Presence;
  /** Everything it logged, as text. */
  readonly log: () => string;
  readonly stats: Stats;
}

async function running(link: RedisLink, instance: string): Promise<Running> {
  const lines: string[] = [];
  const stats = new Stats();
  const presence = redisPresence({
    ...{ link, instance, region: "eu", stats, load: () => ({ connections: 1, capacity: 100 }) },
    log: createLogger("debug", (line) => void lines.push(JSON.stringify(line))),
    ...{ leaseTtlMs: LEASE_TTL_MS, renewMs: RENEW_MS, timeoutMs: TIMEOUT_MS },
  });
  await presence.start();
  const log = () => lines.join("\n");
  return { presence, stats, log, [Symbol.asyncDispose]: () => presence.close() };
}

const ok = (presence: Presence) =>
  until(() => presence.status().state === "ok", { what: "presence to be whole" });

async function timed<T>(call: Promise<T>): Promise<[T, ms: number]> {
  const started = performance.now();
  return [await call, performance.now() - started];
}

async function world(kind: "resp" | "rest", ...options: string[]) {
  const server = await redisServer(...options);
  const bridge = await upstashBridge(server.port);
  return {
    ...{ server, bridge },
    link: () => (kind === "resp" ? respLink(server) : upstashLink(bridge)),
    async [Symbol.asyncDispose]() {
      await bridge[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** An instance in a process of its own. */
function child(runtime: "bun" | "deno", args: string[]) {
  const command = {
    bun: [process.execPath],
    deno: [
      "node_modules/.bin/deno",
      "run",
      "--no-lock",
      "--allow-net",
      "--allow-env",
      "--allow-read",
      "--allow-sys",
    ],
  }[runtime];
  const own = Bun.spawn([...command, "tests/programs/presence-process.ts", ...args], {
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  const write = (chunk: Uint8Array) => {
    output += new TextDecoder().decode(chunk);
  };
  void own.stdout.pipeTo(new WritableStream({ write }));
  return {
    output: () => output,
    kill: (signal: NodeJS.Signals) => own.kill(signal),
    async [Symbol.asyncDispose]() {
      own.kill("SIGKILL");
      await own.exited;
    },
  };
}

for (const kind of ["resp", "rest"] as const) {
  describe(`Redis over ${kind} fails`, () => {
    test("killed and restarted empty: local truth at once, then everything is written again", async () => {
      await using all = await world(kind);
      await using one = await running(all.link(), "a");
      const { presence } = one;
      await presence.connected(connection("c1", "ann", "a"));
      await presence.join("x", info("c1", "ann"));
      await all.server.kill();
      for (let n = 2; n < 12; n++) {
        const [outcome, ms] = await timed(presence.join("x", info(`c${n}`, "bob")));
        expect(outcome).toEqual({ firstOfUser: n === 2, firstOfChannel: false });
        expect(ms).toBeLessThan(2 * TIMEOUT_MS + 50);
      }
      expect(presence.status().state).toBe("degraded");
      const [counts, ms] = await timed(presence.stats("x"));
      expect(counts).toEqual({ clients: 11, users: 2, partial: true });
      expect(ms).toBeLessThan(20);
      expect(one.stats.presenceErrors).toBeGreaterThan(0);
      await all.server.restart();
      await ok(presence);
      await using two = await running(all.link(), "b");
      expect(await two.presence.stats("x")).toEqual({ clients: 11, users: 2, partial: false });
      expect((await two.presence.connectionsOf("ann")).connections).toEqual([connection("c1", "ann", "a")]);
    });

    test("hangs: calls wait for two time-outs at most, then not at all", async () => {
      await using all = await world(kind);
      await using one = await running(all.link(), "a");
      const { presence } = one;
      await presence.join("x", info("c1", "ann"));
      all.server.pause();
      const calls = await Promise.all([
        timed(presence.join("x", info("c2", "bob"))),
        timed(presence.members("x", 9)),
        timed(presence.connected(connection("c2", "bob", "a"))),
        timed(presence.instances()),
      ]);
      for (const [, ms] of calls) expect(ms).toBeLessThan(2 * TIMEOUT_MS + 100);
      await until(() => presence.status().state === "degraded");
      const [left, ms] = await timed(presence.leave("x", "c1"));
      expect(left).toEqual({ lastOfUser: true, lastOfChannel: false });
      expect(ms).toBeLessThan(20);
      expect(one.stats.presenceTimeouts).toBeGreaterThan(0);
      all.server.resume();
      await ok(presence);
      // Who left meanwhile is swept, and others have had the time of a lease to come back.
      await until(async () => (await presence.stats("x")).clients === 1);
      await until(async () => !(await presence.stats("x")).partial);
      expect(await presence.members("x", 9)).toEqual({ members: [info("c2", "bob")], partial: false });
    });

    test("away at the start: degraded, and whole when it comes", async () => {
      await using all = await world(kind);
      await all.server.kill();
      await using one = await running(all.link(), "a");
      expect(one.presence.status().state).toBe("degraded");
      await one.presence.join("x", info("c1", "ann"));
      await all.server.restart();
      await ok(one.presence);
      expect(await one.presence.stats("x")).toEqual({ clients: 1, users: 1, partial: true });
      await until(async () => !(await one.presence.stats("x")).partial);
      expect(await one.presence.stats("x")).toEqual({ clients: 1, users: 1, partial: false });
    });

    test("closing does not wait for it", async () => {
      await using all = await world(kind);
      const one = await running(all.link(), "a");
      await one.presence.join("x", info("c1", "ann"));
      all.server.pause();
      const [, ms] = await timed(one.presence.close());
      expect(ms).toBeLessThan(4 * TIMEOUT_MS);
      const [outcome] = await timed(one.presence.join("x", info("c2", "bob")));
      expect(outcome).toEqual({ firstOfUser: true, firstOfChannel: false });
    });

    for (const runtime of ["bun", "deno"] as const) {
      test(`an instance on ${runtime} survives its restart, a stop, and is missed when killed`, async () => {
        await using all = await world(kind);
        await using one = await running(all.link(), "a");
        const { presence } = one;
        const log = sweptLog(presence);
        const { url, token } = kind === "resp" ? { ...all.server, token: "" } : all.bridge;
        const numbers = [LEASE_TTL_MS, RENEW_MS, TIMEOUT_MS].map(String);
        await using other = child(runtime, [kind, url, token, "child", ...numbers]);
        const there = async () => (await presence.members("chat:x", 9)).members.length === 1;
        await until(there, { what: `the instance on ${runtime}: ${other.output()}` });
        expect((await presence.connectionsOf("child")).connections.map(({ ip }) => ip)).toEqual([
          "192.0.2.9",
        ]);

        await all.server.kill();
        await until(() => other.output().includes("degraded"));
        await all.server.restart();
        await ok(presence);
        await until(there, { what: "the instance to have written again" });
        expect(log).toEqual([]);

        other.kill("SIGSTOP");
        await until(() => log.length > 0, { what: "the sweep of a stopped instance" });
        expect(await there()).toBe(false);
        other.kill("SIGCONT");
        await until(there, { what: "the stopped instance to be back" });
        expect(log).toHaveLength(1);

        const killed = performance.now();
        other.kill("SIGKILL");
        await until(() => log.length > 1, { what: "the sweep of a killed instance" });
        // In earnest 15 s and 2.5 s; the rest is for a busy machine.
        expect(performance.now() - killed).toBeLessThan(LEASE_TTL_MS + RENEW_MS / 2 + 500);
        expect(await there()).toBe(false);
        expect(log[1]!.swept.left).toEqual([
          { channel: "chat:x", info: info("child-client", "child"), lastOfUser: true, lastOfChannel: true },
        ]);
      }, 15_000);
    }
  });
}

describe("what is logged", () => {
  test("never a name, an address, a token or a password, whatever fails", async () => {
    await using all = await world("rest", "--requirepass", "pass-w0rd");
    const url = `redis://:wr0ng-pass@127.0.0.1:${all.server.port}`;
    await using resp = await running(respLink({ url }), "a");
    await using wrong = await running(upstashLink({ url: all.bridge.url, token: "wr0ng-token" }), "b");
    // Redis asks the bridge for a password, which it does not have.
    await using rest = await running(upstashLink(all.bridge), "c");
    for (const { presence } of [resp, wrong, rest]) {
      await presence.connected(connection("cl1ent", "secret-ann", "a"));
      await presence.join("secret-channel", info("cl1ent", "secret-ann"));
    }
    for (const fault of ["error", "hang", "late", "none"] as const) {
      const asked = all.bridge.requests;
      all.bridge.fault = fault;
      await until(() => all.bridge.requests > asked + 2);
    }
    const text = [resp, wrong, rest].map(({ log }) => log()).join("\n");
    expect(resp.log()).toContain("WRONGPASS");
    expect(wrong.log()).toContain("Unauthorized");
    expect(rest.log()).toContain("redis answer");
    for (const secret of ["w0rd", "wr0ng", all.bridge.token, "secret", "cl1ent", "192.0.2.1", "127.0.0.1"]) {
      expect(text).not.toContain(secret);
    }
  });

  test("a URL of the wrong kind is refused without being repeated", () => {
    for (const url of ["http://user:hush@host", "hush", ""]) {
      expect(() => respLink({ url })).toThrow("REDIS_URL is not a redis:// URL");
    }
    for (const url of ["redis://user:hush@host", "hush", ""]) {
      expect(() => upstashLink({ url, token: "t" })).toThrow("UPSTASH_REDIS_REST_URL is not an http(s) URL");
    }
  });
});

test("two processes under one name are told so", async () => {
  await using all = await world("resp");
  await using one = await running(all.link(), "same");
  await using two = await running(all.link(), "same");
  await two.presence.join("x", info("c2", "bob"));
  await until(() => one.log().includes("another process runs under this instance's name"));
});
