import process from "node:process";
import { Command } from "commander";
import { bars } from "../../src/cli/bench/progress.ts";
import { FAULTS, type FaultName } from "./faults.ts";
import { type Outcome, simulate } from "./run.ts";

/*
 * `npm run simulate -- --seeds 1000000`: so many runs of the NATS driver against servers in memory, each another one.
 * `npm run simulate -- --seed 17`: run 17 again, line by line.
 */

const known = Object.keys(FAULTS) as FaultName[];
const whole = (text: string) => {
  if (!/^\d+$/.test(text)) throw new Error(`${text} is no whole number`);
  return Number(text);
};
const flags = new Command("simulate")
  .option("--seeds <count>", "how many runs", whole, 1_000)
  .option("--from <seed>", "the first one", whole, 1)
  .option("--seed <seed>", "only this one, and print its history", whole)
  .option("--faults <names>", `what may happen, with commas between: ${known.join(",")}`)
  .option("--without <names>", "what may not")
  .option("--replicas <count>", "of every stream, 1 or 3; default: each run draws its own", whole)
  .option("--most <count>", "stop after so many bad ones", whole, 10)
  .parse()
  .opts<{
    seeds: number;
    from: number;
    seed?: number;
    faults?: string;
    without?: string;
    replicas?: number;
    most: number;
  }>();

/** Lines of a bad run that are printed when many are made. */
const SHOWN = 3;
const TOLD_EVERY_MS = 10_000;

function chosen(): FaultName[] {
  const names = (text = "") => text.split(",").filter(Boolean);
  const unknown = [...names(flags.faults), ...names(flags.without)].find(
    (one) => !known.includes(one as never),
  );
  if (unknown !== undefined) throw new Error(`there is no ${unknown}: ${known.join(", ")}`);
  const wanted = flags.faults === undefined ? known : (names(flags.faults) as FaultName[]);
  return wanted.filter((one) => !names(flags.without).includes(one));
}

function run(): void {
  const { seeds, from, seed, replicas, most } = flags;
  const options = { faults: chosen(), ...(replicas !== undefined && { replicas }) };
  if (seed !== undefined) {
    const { history, wrongs } = simulate({ seed, ...options });
    console.log(history.join("\n"));
    process.exitCode = wrongs.length > 0 ? 1 : 0;
    return;
  }
  const began = performance.now();
  let [told, stored, delivered] = [began, 0, 0];
  const bad: Outcome[] = [];
  const bar = bars();
  let done = 0;
  for (; done < seeds && bad.length < most; done++) {
    const outcome = simulate({ seed: from + done, ...options });
    stored += outcome.stored;
    delivered += outcome.delivered;
    if (outcome.wrongs.length > 0) {
      bad.push(outcome);
      console.log(`seed ${outcome.seed}:`);
      for (const { wrong, text } of outcome.wrongs.slice(0, SHOWN)) console.log(`  ${wrong}: ${text}`);
    }
    if (process.stderr.isTTY) bar.show(`${bad.length} bad`, done + 1, seeds);
    else if (performance.now() - told > TOLD_EVERY_MS) {
      told = performance.now();
      console.error(`${done + 1} of ${seeds} runs, ${bad.length} bad`);
    }
  }
  bar.stop();
  const seconds = (performance.now() - began) / 1_000;
  console.log(
    `${done} runs in ${seconds.toFixed(1)} s, ${stored} messages, ${delivered} deliveries: ` +
      `${bad.length === 0 ? "good" : `${bad.length} bad`}`,
  );
  if (bad.length > 0) {
    console.log(`the history of one: npm run simulate -- --seed ${bad[0]!.seed} with the same other options`);
    process.exitCode = 1;
  }
}

// Not from a promise's continuation: time stands still there.
setTimeout(run, 0);
