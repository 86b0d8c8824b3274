import { expect, test } from "bun:test";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FAULTS, type FaultName } from "./faults.ts";
import { inOwnTime } from "./in-own-time.ts";
import { simulate } from "./run.ts";

/**
 * The NATS driver as it is against servers in memory, under everything that can happen to it: a short share of what
 * `npm run simulate` does at length.
 */

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TEST_MS = 120_000;
const SEEDS = 1_000;

const ALL = Object.keys(FAULTS) as FaultName[];

/** Runs that were wrong once, by seed and replicas. */
const FOUND = [
  [105_032, 1],
  [105_235, 3],
  [105_352, 1],
  [105_607, 3],
  [105_842, 1],
  [106_057, 3],
  [106_449, 3],
  [106_728, 1],
  [106_744, 3],
  [106_823, 1],
  [107_387, 1],
  [107_445, 3],
  [3_006_176, 1],
  [3_010_163, 1],
  [3_010_956, 3],
  [3_014_051, 1],
  [3_018_353, 3],
  [3_019_413, 1],
  [3_019_896, 3],
  [3_020_867, 3],
  [6_014_344, 3],
  [9_001_159, 1],
  [10_005_723, 1],
] as const;

/** What was wrong in runs; no more than three of them are told. */
async function wrongs(runs: Iterable<readonly [seed: number, replicas: number]>): Promise<string[]> {
  return await inOwnTime(() => {
    const bad: string[] = [];
    for (const [seed, replicas] of runs) {
      const [first] = simulate({ seed, faults: ALL, replicas }).wrongs;
      if (first) bad.push(`seed ${seed}, ${replicas} replica(s): ${first.wrong}: ${first.text}`);
      if (bad.length === 3) break;
    }
    return bad;
  });
}

for (const [replicas, seeds] of [
  [1, SEEDS],
  [3, SEEDS / 2],
] as const) {
  test(
    `${seeds} runs, ${replicas} replica(s): whoever is not told has exactly what stands, nothing twice, and nobody is told without need`,
    async () => {
      expect(await wrongs(Array.from({ length: seeds }, (_, n) => [n + 1, replicas]))).toEqual([]);
    },
    TEST_MS,
  );
}

test("runs that were wrong once", async () => {
  expect(await wrongs(FOUND)).toEqual([]);
});

test("the same seed is the same run, line by line", async () => {
  const [one, other] = await inOwnTime(() => [1, 2].map(() => simulate({ seed: 4, faults: ALL }).history));
  expect(one!.length).toBeGreaterThan(40);
  expect(one).toEqual(other!);
});

/** A line of the driver, and what breaks it. */
const MUTATIONS = [
  {
    what: "a message whose predecessor is missing is delivered",
    file: "src/broker/nats/follow/chain.ts",
    is: "if (prev <= chain.last) {",
    becomes: "if (prev >= 0) {",
  },
  {
    what: "a newest message that never arrived is not read",
    file: "src/broker/nats/follow/head-audit.ts",
    is: "if (head.seq > channel.last) {",
    becomes: "if (head.seq < 0) {",
  },
  {
    what: "another message where one was seen proves nothing",
    file: "src/broker/nats/follow/continuity.ts",
    is: 'return isSame(one, identityOf(envelope)) ? "same" : "other";',
    becomes: 'return isSame(one, identityOf(envelope)) ? "same" : "nothing";',
  },
];

for (const { what, file, is, becomes } of MUTATIONS) {
  test(
    `a broken driver is found: ${what}`,
    async () => {
      const dir = await mkdtemp(join(tmpdir(), "trunkline-simulation-"));
      try {
        for (const part of ["src", "tests/simulation", "package.json", "tsconfig.json"]) {
          await cp(join(ROOT, part), join(dir, part), { recursive: true });
        }
        await symlink(join(ROOT, "node_modules"), join(dir, "node_modules"));
        const text = await Bun.file(join(dir, file)).text();
        expect(text).toContain(is);
        await Bun.write(join(dir, file), text.replace(is, becomes));
        const main = join(dir, "tests/simulation/main.ts");
        const flags = ["--seeds", "300", "--most", "1", "--replicas", "1", "--faults", ALL.join(",")];
        const child = Bun.spawn([process.execPath, main, ...flags], { stdout: "pipe", stderr: "ignore" });
        const said = await new Response(child.stdout).text();
        expect({ code: await child.exited, said }).toEqual({
          code: 1,
          said: expect.stringContaining("1 bad"),
        });
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
    TEST_MS,
  );
}
