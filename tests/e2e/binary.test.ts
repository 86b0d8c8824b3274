import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const ROOT = join(import.meta.dir, "../..");
const ENV = { TRUNKLINE_TOKEN_SECRET: TEST_SECRET };

let dir = "";
let binary = "";
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "trunkline-binary-"));
  binary = join(dir, "trunkline");
  expect(await build(binary)).toBe(0);
}, 60_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function build(...args: readonly string[]): Promise<number> {
  const program = [process.execPath, join(ROOT, "deploy/binary.ts"), ...args];
  return Bun.spawn(program, { cwd: dir, stdout: "ignore", stderr: "ignore" }).exited;
}

describe("the program as one file", () => {
  test("dev serves its pages and the browser library, which are inside", async () => {
    await using dev = await startInstance({ binary, command: "dev", env: { TRUNKLINE_CONFIG: undefined } });
    const sizes = [
      "/",
      "/app.js",
      "/nearest.js",
      "/icon.svg",
      "/assets/centrifuge.js",
      "/console/",
      "/console/app.js",
    ].map(async (path) => {
      const answer = await fetch(`${dev.url}${path}`);
      return [path, answer.status, (await answer.arrayBuffer()).byteLength > 100];
    });
    for (const [, ...rest] of await Promise.all(sizes)) expect(rest).toEqual([200, true]);
    expect(await (await fetch(dev.url)).text()).toStartWith("<!doctype html>");
  });

  test("serve starts itself again for each worker, and delivers", async () => {
    await using nats = await natsServer();
    await using redis = await redisServer();
    await using instance = await startInstance({
      binary,
      env: { NATS_URL: nats.url, REDIS_URL: redis.url, TRUNKLINE_WORKERS: "2" },
      config: { namespaces: { chat: { subscribe: "authenticated" } } },
    });
    using client = testClient(instance.websocket, { user: "ann" });
    await client.connected();
    const room = await client.subscribe("chat:room.1");
    await instance.api("publish", { channel: "chat:room.1", data: "hello" });
    await until(() => room.data().includes("hello"));
    client.centrifuge.disconnect();
    expect(await instance.terminate()).toBe(0);
  }, 30_000);

  test("a world of two regions is made of the same file", async () => {
    const world = Bun.spawn([binary, "dev", "--regions", "2", "--port", "0", "--latency", "off", "--json"], {
      env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "" },
      ...{ stdin: "ignore", stdout: "pipe", stderr: "ignore" },
    });
    let out = "";
    const read = (async () => {
      for await (const part of world.stdout.pipeThrough(new TextDecoderStream())) out += part;
    })();
    await until(() => /console\/world/.test(out), { what: "the world to be up", timeoutMs: 30_000 });
    world.kill("SIGTERM");
    await world.exited;
    await read;
  }, 45_000);

  test("the load tool measures with workers of the same file", async () => {
    const { code, out } = await trunkline(
      ["bench", "idle", "-t", "trunkline", "-n", "4", "--seconds", "1", "--rounds", "1", "--json"],
      { binary, env: ENV },
    );
    expect(code).toBe(0);
    expect(out).toContain('"joined": 4');
  }, 90_000);

  test("health says whether an instance answers", async () => {
    await using instance = await startInstance({ binary });
    expect(await trunkline(["health", "--url", instance.url], { binary })).toEqual({
      ...{ code: 0, out: "", err: "" },
    });
    const { code, err } = await trunkline(["health", "--url", "http://127.0.0.1:1"], { binary });
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("does not answer") });
  });

  test("is not made for machines that nobody tried", async () => {
    expect(await build(join(dir, "other"), "--target", "plan9-mips")).toBe(2);
  });
});
