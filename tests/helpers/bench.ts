import { fileURLToPath } from "node:url";
import { ensureServer } from "./servers.ts";

export const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** What no round of a sound target has. */
export const NOTHING_WRONG = { failed: 0, dropped: 0, lost: 0, duplicates: 0, disorder: 0 };

/** Runs `trunkline bench` to its end, with nothing of the environment's own servers. */
export async function bench(...args: string[]): Promise<{ code: number; out: string }> {
  const { NATS_URL: _, REDIS_URL: __, ...given } = process.env;
  const env = {
    ...given,
    NATS_SERVER_BIN: ensureServer("nats-server"),
    REDIS_SERVER_BIN: ensureServer("redis-server"),
  };
  const child = Bun.spawn([process.execPath, MAIN, "bench", ...args], {
    env,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, out: out + err };
}
