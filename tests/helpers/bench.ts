import { fileURLToPath } from "node:url";
import { trunkline } from "./command.ts";
import { ensureServer } from "./servers.ts";

export const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** What no round of a sound target has. */
export const NOTHING_WRONG = { failed: 0, dropped: 0, lost: 0, duplicates: 0, disorder: 0 };

/** Runs `trunkline bench` to its end, with nothing of the environment's own servers. */
export async function bench(...args: string[]): Promise<{ code: number; out: string }> {
  const { NATS_URL: _, REDIS_URL: __, ...given } = process.env;
  const { code, out, err } = await trunkline(["bench", ...args], {
    env: {
      ...(given as Record<string, string>),
      NATS_SERVER_BIN: ensureServer("nats-server"),
      REDIS_SERVER_BIN: ensureServer("redis-server"),
    },
  });
  return { code, out: out + err };
}
