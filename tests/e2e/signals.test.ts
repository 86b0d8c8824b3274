import { expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { type InstanceOptions, startInstance } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** Each would end a process that does not listen to it. */
const OTHERS = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGIO"] as const;

/** Every way to run instances, and which of the signals end one with its terminal. */
const WAYS: readonly (readonly [what: string, options: InstanceOptions, ends: readonly string[]])[] = [
  ["serve on Bun", {}, []],
  ["serve on Deno", { runtime: "deno" }, []],
  ["serve with workers", { env: { TRUNKLINE_WORKERS: "2" } }, []],
  ["dev", { command: "dev", env: { TRUNKLINE_LOG_FORMAT: "json" } }, ["SIGHUP"]],
];

test.each(WAYS)(
  "%s: no signal but those that ask it to leave cuts a client off",
  async (_, options, ends) => {
    await using nats = await natsServer();
    await using instance = await startInstance({ ...options, env: { NATS_URL: nats.url, ...options.env } });
    using client = testClient(instance.websocket, { user: "ann" });
    await client.connected();
    const lost: number[] = [];
    client.centrifuge.on("connecting", ({ code }) => lost.push(code));
    for (const signal of OTHERS.filter((one) => !ends.includes(one))) {
      instance.signal(signal);
      const [key, said] =
        signal === "SIGHUP" ? (["message", "settings reloaded"] as const) : (["signal", signal] as const);
      await until(() => instance.lines.some((line) => line[key] === said), {
        what: `${signal} to be logged`,
      });
      if (signal === "SIGHUP") continue;
      const line = instance.lines.find((one) => one.signal === signal);
      expect(line).toMatchObject({ level: "warn", message: expect.stringContaining("signal ignored") });
    }
    await client.centrifuge.publish("live:x", 1).catch(() => {});
    expect([lost, client.centrifuge.state]).toEqual([[], "connected" as never]);
    // With its terminal it drains, as for SIGTERM.
    for (const signal of ends) instance.signal(signal as NodeJS.Signals);
    expect(ends.length > 0 ? await instance.exited : await instance.terminate()).toBe(0);
  },
  30_000,
);
