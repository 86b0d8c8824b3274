import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import type { Phase } from "../../src/bench/load/crowd.ts";
import { ensureServer } from "../helpers/servers.ts";

const SCRIPT = fileURLToPath(new URL("../../bench/million.sh", import.meta.url));
const CONNECTIONS = 600;
/** As few as make several processes of each kind necessary, more of them than may be filled at once. */
const DESCRIPTORS = 1_120;
const INSTANCES = 6;

async function million(...flags: string[]) {
  const limited = `ulimit -n ${DESCRIPTORS} && exec "$0" "$@"`;
  const child = Bun.spawn(["sh", "-c", limited, SCRIPT, "--connections", `${CONNECTIONS}`, ...flags], {
    env: {
      ...process.env,
      NATS_SERVER_BIN: ensureServer("nats-server"),
      REDIS_SERVER_BIN: ensureServer("redis-server"),
    },
    stdout: "pipe",
    stderr: "ignore",
  });
  return { out: await new Response(child.stdout).text(), code: await child.exited };
}

test("a small crowd: all get in, all get the message, a tenth resumes, a drained instance's clients move", async () => {
  const { out, code } = await million("--idle", "1", "--json");
  const { phases } = JSON.parse(out) as { phases: readonly Phase[] };
  const of = (name: string) => phases.find((phase) => phase.name === name)!;
  expect(phases.map(({ name }) => name)).toEqual(["start", "connect", "idle", "broadcast", "storm", "drain"]);
  expect(of("connect").figures).toMatchObject({ joined: CONNECTIONS });
  expect(of("connect").memory.gateways).toBeGreaterThan(10 * 2 ** 20);
  expect(of("connect").cpu.gateways).toBeGreaterThan(0);
  expect(of("connect").redisCommands).toBeGreaterThan(CONNECTIONS);
  expect(of("broadcast").figures).toMatchObject({ messages: CONNECTIONS });
  expect(of("broadcast").figures.lost).toBeUndefined();
  const tenth = CONNECTIONS / 10;
  expect(of("storm").figures).toMatchObject({ joined: tenth, recovered: tenth, replayed: tenth, lost: 0 });
  const { moved, joined, recovered, left } = of("drain").figures;
  expect({ joined, recovered, left }).toEqual({ joined: moved!, recovered: moved!, left: 1 });
  // Each instance was filled alike, one after the other.
  expect(of("start").figures).toEqual({ instances: INSTANCES, workers: INSTANCES - 1 });
  expect(moved).toBe(CONNECTIONS / INSTANCES);
  expect(code).toBe(0);
}, 60_000);

test("it stops before memory runs out, and says how far it got", async () => {
  const { out, code } = await million("--reserve", "100000");
  expect(code).toBe(1);
  expect(out).toMatch(/NOT FINISHED: only [\d.]+ GiB are available/);
}, 30_000);
