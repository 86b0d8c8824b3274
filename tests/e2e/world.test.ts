import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startWorld, type World } from "../../src/world/world.ts";
import { receives, testClient } from "../helpers/clients.ts";
import { TEST_API_KEY } from "../helpers/instances.ts";
import { processesOf } from "../helpers/leftovers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Round trip between any two regions of this world, ms. */
const ROUND_TRIP_MS = 60;
const WORLD = fileURLToPath(new URL("../../src/world/world.ts", import.meta.url));

const events: string[] = [];
/** Everything of it lies in here. */
const folder = mkdtempSync(join(tmpdir(), "trunkline-tests-"));
let world: World;

beforeAll(async () => {
  world = await inFolder(() =>
    startWorld({
      regions: ["iad", "fra", "sin"],
      latency: ROUND_TRIP_MS,
      secrets: { token: TEST_SECRET, apiKey: TEST_API_KEY },
      onEvent: ({ what, name, state }) => events.push(`${what} ${name} ${state}`),
    }),
  );
}, 60_000);

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** With temporary files in a folder of this test. */
async function inFolder<T>(run: () => Promise<T>): Promise<T> {
  const { TMPDIR } = process.env;
  process.env.TMPDIR = folder;
  try {
    return await run();
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
}

const websocketOf = (region: string) => world.region(region).instances[0]!.websocket;

async function publish(region: string, channel: string, data: unknown): Promise<void> {
  const response = await fetch(`${world.region(region).instances[0]!.url}/api/publish`, {
    method: "POST",
    headers: { "x-api-key": TEST_API_KEY },
    body: JSON.stringify({ channel, data }),
  });
  expect(await response.json()).toMatchObject({ result: { offset: expect.any(Number) } });
}

describe("a world of three regions", () => {
  test("has one JetStream over all of them, and says what has begun", async () => {
    expect(await world.metaGroup()).toEqual({ leader: expect.any(String), size: 3 });
    expect(events.toSorted()).toEqual([
      "instance fra-1 up",
      "instance iad-1 up",
      "instance sin-1 up",
      "nats fra up",
      "nats iad up",
      "nats sin up",
      "redis iad up",
    ]);
  });

  test("carries a message from region to region, over links that take their time and count bytes", async () => {
    using client = testClient(websocketOf("sin"), { user: "ann" });
    await client.connected();
    const room = await client.subscribe("chat:far");
    const before = world.links.bytes("iad", "sin").nats;
    const begin = performance.now();
    const text = "x".repeat(2000);
    // Streams are where the first instance made them: there, and from there to sin.
    await publish("fra", "chat:far", { text });
    await receives(room, 1);
    const ms = performance.now() - begin;

    expect(room.data()).toEqual([{ text }]);
    expect(ms).toBeGreaterThanOrEqual(ROUND_TRIP_MS - 2);
    expect(world.links.bytes("iad", "sin").nats - before).toBeGreaterThan(2000);
    expect(world.links.bytes("fra", "iad").nats).toBeGreaterThan(2000);
    expect(world.links.bytes("fra", "iad").redis).toBeGreaterThan(0);
    expect(world.links.bytes("fra", "sin").redis).toBe(0);
  });

  test("has links that can be cut, and healed: what was missed arrives", async () => {
    using client = testClient(websocketOf("sin"), { user: "ben" });
    await client.connected();
    const room = await client.subscribe("chat:cut");
    world.links.cut("iad", "sin");
    expect(events.at(-1)).toBe("link iad-sin cut");
    const crossed = world.links.bytes("iad", "sin").nats;
    await publish("iad", "chat:cut", 1);
    await publish("iad", "chat:cut", 2);
    expect(world.links.bytes("iad", "sin").nats).toBe(crossed);
    expect(room.received).toEqual([]);

    world.links.heal("iad", "sin");
    // Whether something was missed shows with the next message; how soon gateways are back nobody says.
    let lastMs = 0;
    await until(
      async () => {
        if (performance.now() - lastMs < 500) return room.received.length > 2;
        await publish("iad", "chat:cut", 3);
        lastMs = performance.now();
        return room.received.length > 2;
      },
      { what: "messages to flow again", timeoutMs: 20_000 },
    );
    expect(room.data().slice(0, 3)).toEqual([1, 2, 3]);
  }, 30_000);

  test("has regions that can be killed, and healed", async () => {
    const region = world.region("fra");
    const [instance] = region.instances;
    await region.kill();
    expect(region.state).toBe("down");
    expect(events.slice(-2).toSorted()).toEqual(["instance fra-1 down", "nats fra down"]);
    expect(await fetch(`${instance!.url}/healthz`).catch(() => "refused")).toBe("refused");
    expect((await world.metaGroup())?.size).toBe(3);

    await region.nats.restart();
    expect(region.state).toBe("partial");
    await region.heal();
    expect(region.state).toBe("up");
    await publish("fra", "chat:healed", "back");
  }, 30_000);

  test("takes no other server's answer for that of its own instance", async () => {
    const [instance] = world.region("fra").instances;
    await instance!.kill();
    const { hostname, port } = new URL(instance!.url);
    const other = Bun.serve({
      hostname,
      port: Number(port),
      fetch: () => Response.json({ ready: true, instance: "another's" }),
    });
    const began = events.length;
    await expect(instance!.restart()).rejects.toThrow(`port ${port}`);
    expect(events.slice(began)).not.toContain("instance fra-1 up");
    await other.stop(true);
    await instance!.restart();
    expect(world.region("fra").state).toBe("up");
  }, 30_000);

  test("leaves no process and no file behind", async () => {
    expect(processesOf(folder).length).toBeGreaterThanOrEqual(7);
    await world[Symbol.asyncDispose]();
    expect(processesOf(folder)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("leaves none behind either when its process is killed while it starts", async () => {
    const script = `
      import { startWorld } from ${JSON.stringify(WORLD)};
      await startWorld({ regions: 2, onEvent: ({ name }) => console.log(name) });
    `;
    const env = { ...process.env, TMPDIR: folder };
    await using parent = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", env });
    let text = "";
    for await (const chunk of parent.stdout) {
      text += new TextDecoder().decode(chunk);
      if (text.includes("iad") && text.includes("fra")) break;
    }
    expect(processesOf(folder).length).toBeGreaterThanOrEqual(4);
    parent.kill("SIGKILL");
    await until(() => processesOf(folder).length === 0 && readdirSync(folder).length === 0, {
      what: "processes and files to be gone",
    });
  });
});

test("a world that cannot be is refused with what can", async () => {
  for (const regions of [1, 9, 2.5, ["iad"], ["iad", "iad"]]) {
    expect(startWorld({ regions })).rejects.toThrow("2 to 8 different regions");
  }
  expect(startWorld({ regions: ["iad", "atlantis"] })).rejects.toThrow(
    'there is no region "atlantis"; choose from iad, fra',
  );
  expect(existsSync(folder)).toBe(true);
});
