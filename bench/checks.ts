/**
 * What the limits cost those who keep them: `npm run bench:checks` puts instances with every quota switched off, and with all
 * of them on and never reached, under the same load in turn. Both on embedded drivers, where a microsecond shows most.
 */
import process from "node:process";
import { Command } from "commander";
import type { Figures } from "../src/bench/load/report/figures.ts";
import { type RunOptions, run } from "../src/bench/load/run.ts";
import { OWN_SETTINGS, trunkline } from "../src/bench/load/target/trunkline.ts";
import { interruption } from "../src/cli/interruption.ts";
import { print, printError } from "../src/cli/output.ts";
import { aligned } from "./markdown.ts";

/** So much that nobody reaches it, and it is counted all the same. */
const MUCH = 1_000_000;
const MANY_BYTES = "64GiB";

const OFF = {
  ...OWN_SETTINGS.limits,
  ...{ bytesInPerUserPerSecond: "0B", answerBytesPerUserPerSecond: "0B", callsPerUser: 0 },
};
const ON = {
  ...{ connectionsPerIp: MUCH, connectsPerIpPerSecond: MUCH, requestsPerIpPerSecond: MUCH },
  ...{ commandsPerUserPerSecond: MUCH, publishesPerUserPerSecond: MUCH, newChannelsPerUserPerMinute: MUCH },
  ...{ publishBytesPerUserPerSecond: MANY_BYTES, recoveryBytesPerUserPerSecond: MANY_BYTES },
  ...{ bytesInPerUserPerSecond: MANY_BYTES, answerBytesPerUserPerSecond: MANY_BYTES },
  ...{ liveChannels: MUCH, callsPerUser: MUCH },
};

/** Each load, and the figures that say what it costs. */
const LOADS: readonly {
  readonly given: Pick<RunOptions, "scenario" | "clients" | "seconds" | "inbox" | "ratePerSecond">;
  readonly figures: readonly (readonly [keyof Figures, string])[];
}[] = [
  {
    given: { scenario: "idle", clients: 2_000, seconds: 1, inbox: true, ratePerSecond: 1 },
    figures: [
      ["connectCpu", "µs a connect, with inbox"],
      ["connectRate", "connects a second"],
    ],
  },
  {
    given: { scenario: "rooms", clients: 1_000, seconds: 6, inbox: false, ratePerSecond: 1_000 },
    figures: [
      ["deliveryCpu", "µs a delivery, rooms"],
      ["p50", "p50, ms"],
      ["p99", "p99, ms"],
    ],
  },
];

const flags = new Command("checks")
  .option("--rounds <n>", "rounds of each, of which the medians count", "4")
  .parse()
  .opts<{ rounds: string }>();

const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(NATS|REDIS|UPSTASH)/.test(name)),
);
const kinds = [
  { ...trunkline(env, "environment", { settings: { limits: OFF } }), name: "off" },
  { ...trunkline(env, "environment", { settings: { limits: ON } }), name: "on" },
];
using stop = interruption();
const rows: string[][] = [["", "limits off", "limits on", "on / off", "rounds off", "rounds on"]];
for (const { given, figures } of LOADS) {
  const options = {
    changesPerSecond: 1,
    roomSize: 10,
    channels: 4,
    rounds: Number(flags.rounds),
  };
  const outcome = await run({ ...options, ...given }, kinds, stop.signal, () => {});
  for (const [key, name] of figures) {
    const [off, on] = outcome.rows.map(({ rounds }) => rounds.map((one) => one.figures[key] ?? Number.NaN));
    rows.push([
      name,
      short(median(off!)),
      short(median(on!)),
      (median(on!) / median(off!)).toFixed(2),
      list(off!),
      list(on!),
    ]);
  }
  printError(`${given.scenario}: done`);
}
print(aligned(rows).join("\n"));

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function short(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString("en");
}

function list(values: readonly number[]): string {
  return values.map(short).join(" ");
}
