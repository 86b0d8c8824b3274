import { expect, test } from "bun:test";
import process from "node:process";
import { trunkline } from "../helpers/command.ts";
import type { RuntimeName } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

const RUNTIMES: readonly RuntimeName[] = ["bun", "deno"];
const ENV = { TRUNKLINE_HOST: "127.0.0.1", TRUNKLINE_ANONYMOUS: "true", TRUNKLINE_LOG_FORMAT: "json" };

test.each([...RUNTIMES])(
  "on %s an instance whose port is taken says so in one sentence, and ends",
  async (runtime) => {
    await using taken = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const { code, err } = await trunkline(["serve"], { runtime, env: { ...ENV, PORT: `${taken.port}` } });
    expect(code).toBe(1);
    expect(err.trim().split("\n")).toEqual([
      expect.stringContaining(`cannot listen on 127.0.0.1, port ${taken.port}`),
    ]);
  },
);

test.each([...RUNTIMES])(
  "on %s an instance that is told to stop while it starts, ends in order",
  async (runtime) => {
    // Accepts and says nothing: the start waits for it.
    await using mute = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data() {}, open: () => void connected++ },
    });
    let connected = 0;
    let pid = 0;
    const env = { ...ENV, PORT: "0", NATS_URL: `nats://127.0.0.1:${mute.port}` };
    const ended = trunkline(["serve"], {
      runtime,
      env,
      started: (child) => {
        pid = child;
      },
    });
    await until(() => connected > 0, { what: "a connection to NATS", timeoutMs: 20_000 });
    process.kill(pid, "SIGTERM");
    const { code, out, err } = await ended;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("stopped while starting");
  },
);
