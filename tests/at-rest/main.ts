import { spawnSync } from "node:child_process";
import process from "node:process";
import { Command } from "commander";

/*
 * `npm run soak -- --seeds 5000`: so many random histories of two instances, with presence in memory and in Redis.
 * `npm run soak -- --seed 17`: history 17 alone, step by step.
 */

const { seeds, from, seed } = new Command("soak")
  .option("--seeds <count>", "how many runs with each driver", "5000")
  .option("--from <seed>", "the first one", "1")
  .option("--seed <seed>", "only this one, and print its steps")
  .parse()
  .opts<{ seeds: string; from: string; seed?: string }>();

const chosen = seed === undefined ? { AT_REST_SEEDS: seeds, AT_REST_FROM: from } : { AT_REST_SEED: seed };
const { status } = spawnSync(process.execPath, ["test", "tests/at-rest"], {
  env: { ...process.env, ...chosen },
  stdio: "inherit",
});
process.exitCode = status ?? 1;
