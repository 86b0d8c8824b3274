import { describe, expect, test } from "bun:test";
import { token } from "./auth.ts";
import { createWorld, startGateway, type TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

/** What the log says of comings and goings, and how its level is changed. */

type Line = Readonly<Record<string, unknown>>;

const lines = ({ logged }: TestGateway, message: string) =>
  (logged as unknown as Line[]).filter((line) => line.message === message);
/** Those of comings and goings: steps of a connection have the same names at `debug`. */
const told = (gateway: TestGateway, message: string) =>
  lines(gateway, message).filter(({ at }) => at === "connections");

describe("comings and goings", () => {
  test("each has a line: who, whence, by what, and how it ended", async () => {
    await using gateway = await startGateway();
    const ann = gateway.centrifuge();
    await ann.ask({ connect: { token: token({ user: "ann" }), name: "js", version: "5" } });
    await gateway.gateway.operations.disconnect({ user: "ann" });
    await ann.end();
    const of = { user: "ann", transport: "websocket", level: "info" };
    expect(told(gateway, "connected")).toEqual([
      expect.objectContaining({ ...of, ip: "192.0.2.1", protocol: "centrifuge-json", library: "js 5" }),
    ]);
    expect(told(gateway, "disconnected")).toEqual([
      expect.objectContaining({ ...of, code: 3503, reason: "force disconnect", seconds: 0 }),
    ]);
    expect(told(gateway, "connected")[0]!.client).toBe(told(gateway, "disconnected")[0]!.client);
  });

  test("who is refused has one, too; who never asked has none", async () => {
    await using gateway = await startGateway();
    gateway.centrifuge().socket.data.closed(undefined as never, 1006, "");
    gateway.centrifuge().say({ connect: { token: "nonsense" } });
    await eventually(() => told(gateway, "connect refused").length === 1);
    expect(told(gateway, "connect refused")[0]).toMatchObject({ ip: "192.0.2.1", code: 3500 });
    expect(JSON.stringify(gateway.logged)).not.toContain("nonsense");
    expect(told(gateway, "disconnected")).toEqual([]);
  });

  test("above the rate they are left out, and counted", async () => {
    await using gateway = await startGateway({ options: { connectionLinesPerSecond: 2 } });
    for (let n = 0; n < 6; n++) await gateway.connect(`u${n}`);
    expect(told(gateway, "connected").length).toBeLessThan(6);
    const before = told(gateway, "connected").length;
    // The next line that is let through tells of them, within a second.
    const counted = () => told(gateway, "connected").some(({ others }) => Number(others) >= 6 - before);
    for (const end = performance.now() + 5_000; !counted() && performance.now() < end; ) {
      await gateway.connect("later");
    }
    expect(counted()).toBe(true);
  });
});

describe("the level of the log", () => {
  test("is told and changed on one instance or on all, from any; audited", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    const { operations } = here.gateway;
    const levels = async (request: Parameters<typeof operations.logLevel>[0]) =>
      Object.fromEntries((await operations.logLevel(request)).levels);
    expect(await levels({})).toEqual({ here: "debug", there: "debug" });
    expect(await levels({ level: "error", instance: "there" })).toEqual({ there: "error" });
    expect(await levels({})).toEqual({ here: "debug", there: "error" });
    expect(await levels({ level: "warn" })).toEqual({ here: "warn", there: "warn" });
    expect(lines(there, "log level changed").length).toBe(1);
    expect(lines(here, "audit")).toContainEqual(
      expect.objectContaining({ action: "log_level", of: "there" }),
    );
    expect(operations.logLevel({ instance: "nowhere" })).rejects.toThrow("no such instance");
  });

  test("goes back after a while, to what it was before the first of several", async () => {
    await using gateway = await startGateway();
    const { operations, context } = gateway.gateway;
    context.log.setLevel("warn");
    await operations.logLevel({ level: "debug", seconds: 60 });
    await operations.logLevel({ level: "info", seconds: 1 });
    expect(context.log.level).toBe("info");
    await eventually(() => context.log.level === "warn");
  });
});
