import { expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { testClient } from "../helpers/clients.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

const CONFIG = {
  log: { level: "debug" },
  namespaces: {
    chat: { subscribe: "anyone", publish: "anyone", history: { size: 100, age: "1m" }, presence: true },
  },
};

/** The steps of one connection or channel, as CONTRIBUTING tells to find them: by the fact that names it. */
function steps(instance: TestInstance, fact: "client" | "channel", value: string): string[] {
  const told = instance.lines.filter(({ level }) => level === "debug"); // lines of comings and goings have the same names
  return told.filter((line) => line[fact] === value).map((line) => String(line.message));
}

test("at level debug the log follows one connection and one channel through the house", async () => {
  await using instance = await startInstance({ config: CONFIG });
  using alice = testClient(instance.websocket, { user: "alice" });
  const { client } = await alice.connected();
  const room = await alice.subscribe("chat:room");
  await room.sub.publish({ n: 1 });
  await instance.api("publish", { channel: "chat:room", data: { n: 2 } });
  await until(() => room.received.length === 2, { what: "both messages" });
  alice.breakLink();
  await instance.api("publish", { channel: "chat:room", data: { n: 3 } });
  await until(() => room.received.length === 3, { what: "the missed message" });

  // The second subscription is the user's inbox.
  const first = ["socket opened", "command", "connected", "subscribed", "command", "subscribed", "command"];
  first.push("published", "closed", "unsubscribed", "unsubscribed");
  await until(() => steps(instance, "client", client).length >= first.length, { what: "the end in the log" });
  expect(steps(instance, "client", client)).toEqual(first);
  const channel = steps(instance, "channel", "chat:room");
  for (const step of ["channel attached", "subscribed", "published", "message", "unsubscribed", "recovery"]) {
    expect(channel).toContain(step);
  }
  expect(channel.filter((step) => step === "message")).toHaveLength(3);
  const recovery = instance.lines.find(({ message }) => message === "recovery")!;
  expect(recovery).toMatchObject({ level: "debug", outcome: "recovered" });
  expect(Number(recovery.to) - Number(recovery.from)).toBe(1);
  expect(JSON.stringify(instance.lines)).not.toContain('"n":');
});

test("at level info it does not", async () => {
  await using instance = await startInstance({ config: { ...CONFIG, log: { level: "info" } } });
  using alice = testClient(instance.websocket, { user: "alice" });
  await alice.connected();
  await alice.subscribe("chat:room");
  expect(instance.lines.filter(({ level }) => level === "debug")).toEqual([]);
});

test.each(["bun", "deno"] as const)(
  "comings and goings have a file of their own, and the level changes at run time, on %s",
  async (runtime) => {
    const file = `/tmp/trunkline-connections-${crypto.randomUUID()}.log`;
    using _ = { [Symbol.dispose]: () => rmSync(file, { force: true }) };
    const log = { level: "info", connectionsFile: file };
    const env = { INSTANCE_ID: "gw-1", REGION: "fra" };
    await using instance = await startInstance({
      runtime,
      env,
      config: { ...CONFIG, log: { level: "info" } },
    });
    await using quiet = await startInstance({ runtime, env, config: { ...CONFIG, log } });
    for (const one of [instance, quiet]) {
      using alice = testClient(one.websocket, { user: "alice" });
      await alice.connected();
      alice.centrifuge.disconnect();
    }
    const of = { instance: "gw-1", region: "fra", user: "alice", transport: "websocket" };
    const told = await until(() => instance.lines.find(({ message }) => message === "disconnected"));
    expect(told).toMatchObject({ ...of, at: "connections", level: "info" });
    const lines = await until(() => {
      const text = existsSync(file) ? readFileSync(file, "utf8") : "";
      return text.split("\n").length > 2 ? text.trim().split("\n") : undefined;
    });
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ ...of, message: "connected", protocol: "centrifuge-json" }),
      expect.objectContaining({ ...of, message: "disconnected" }),
    ]);
    expect(quiet.lines.some(({ message }) => message === "connected")).toBe(false);

    expect(await instance.api("log_level", { level: "debug", seconds: 60 })).toEqual({
      levels: { "gw-1": "debug" },
    });
    await instance.api("publish", { channel: "chat:room", data: 1 });
    await until(() => instance.lines.some(({ message }) => message === "published"));
  },
);
