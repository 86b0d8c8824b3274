import process from "node:process";
import { Command } from "commander";
import type { Figures } from "../src/bench/load/report/figures.ts";
import type { Curve } from "../src/bench/load/report/plot-curve.ts";
import { type RunOptions, run } from "../src/bench/load/run.ts";
import { trunkline } from "../src/bench/load/target/trunkline.ts";
import { printError } from "../src/cli/output.ts";
import { fanoutCost } from "./curve-fanout.ts";
import { lostLastMessage } from "./curve-lost.ts";
import type { KeptCurve } from "./page-curves.ts";
import { provenance } from "./provenance.ts";
import { readCurves, writeCurves } from "./render.ts";

/*
 * Measures what must stay flat while something grows, and shows it in RESULTS.md: `npm run bench:curves`. Each curve is
 * kept in curves.json as soon as it is done.
 */

/** A curve that can be measured, at sizes of which `--quick` takes the small ones. */
interface Plan extends Omit<Curve, "series"> {
  readonly id: string;
  readonly why: string;
  readonly sizes: readonly number[];
  /** @returns a value for each series, in the order of `names` */
  measure(size: number): Promise<readonly number[]>;
  readonly names: readonly string[];
  /** A line to compare with: what is allowed. */
  readonly budget?: { readonly name: string; readonly value: number };
}

const stop = new AbortController();
process.on("SIGINT", () => stop.abort()).on("SIGTERM", () => stop.abort());

const flags = new Command("curves")
  .option("--quick", "small sizes, which show that everything works")
  .option("--only <curves>", "these, with commas between them; the others stay as they are")
  .parse()
  .opts<{ quick?: true; only?: string }>();

/** Clients of each instance while instances grow, and messages a second to all of them. */
const EACH = 50;
const RATE = 200;

const plans: readonly Plan[] = [
  {
    id: "subscribers",
    title: "Cost of a message by its local subscribers",
    why:
      "An instance takes a message from the broker, encodes it once and hands it to the runtime once: what JavaScript does " +
      "is the same for two subscribers and for a hundred thousand. Sockets are stubs here; what the runtime and the kernel " +
      "do for each of them is under “Broadcast”. The other line is what only calling a function for each would add.",
    x: "subscribers of the channel on this instance",
    y: "µs of processor time for each message, JavaScript only",
    names: ["one native publish (this)", "a call for each subscriber"],
    sizes: [2, 10, 100, 1_000, 10_000, 100_000],
    async measure(size) {
      const { native, loop } = await fanoutCost(size);
      return [native, loop];
    },
  },
  {
    id: "instances",
    title: "Cost of an instance by the number of instances",
    why:
      `Every instance has ${EACH} clients in one channel, ${RATE} messages a second go to all. What one instance does must ` +
      "not depend on how many others there are.",
    x: "instances",
    y: `for each instance and message: µs of processor time, and NATS messages in and out`,
    names: ["processor time", "NATS messages"],
    sizes: [1, 2, 4, 8],
    async measure(instances) {
      const clients = EACH * instances;
      const { deliveryCpu, messageNats } = await measured({
        scenario: "broadcast",
        clients,
        instances,
        ratePerSecond: RATE,
        seconds: flags.quick ? 1 : 6,
      });
      return [(deliveryCpu ?? 0) * EACH, (messageNats ?? 0) / instances];
    },
  },
  {
    id: "redis",
    title: "Redis commands of an idle connection by the number of connections",
    why:
      "Who is online hangs on the lease of their instance: a connection that does nothing asks Redis for nothing, and " +
      "more of them ask for no more.",
    x: "connections of one instance",
    y: "Redis commands a second, for each idle connection",
    names: ["this"],
    sizes: [500, 1_000, 2_000, 5_000, 10_000],
    budget: { name: "budget", value: 0.01 },
    async measure(clients) {
      const { idleRedis } = await measured({ scenario: "idle", clients, seconds: flags.quick ? 2 : 10 });
      return [idleRedis ?? 0];
    },
  },
  {
    id: "lost",
    title: "A lost last message by the number of channels",
    why:
      "The chain of a channel shows that a message never arrived when the next one comes. Where none comes, it is found by reading " +
      "again what the stream has stored lately: the time must not depend on how many channels an instance follows. The longest of " +
      "three, while 100 messages a second go to other channels.",
    x: "channels with history that one instance follows",
    y: "seconds until the message is there; reads of the store a second",
    names: ["seconds", "reads a second"],
    sizes: [1_000, 8_000, 30_000, 100_000],
    budget: { name: "budget", value: 10 },
    async measure(channels) {
      const { seconds, readsPerSecond } = await lostLastMessage(channels);
      return [seconds, readsPerSecond];
    },
  },
];

async function measured(
  given: Pick<RunOptions, "scenario" | "clients" | "seconds"> & Partial<RunOptions>,
): Promise<Figures> {
  const options = {
    inbox: false,
    ratePerSecond: 1,
    rounds: 1,
    changesPerSecond: 1,
    roomSize: 10,
    channels: 4,
    ...given,
  };
  const { rows } = await run(options, [trunkline(process.env, "stack")], stop.signal, () => {});
  return rows[0]!.rounds[0]!.figures;
}

async function draw({ sizes, measure, names, budget, ...plan }: Plan): Promise<KeptCurve> {
  const origin = await provenance();
  const taken = flags.quick ? sizes.slice(0, 3) : sizes;
  const values: (readonly number[])[] = [];
  for (const size of taken) {
    values.push(await measure(size));
    const said = values.at(-1)!.map((value) => Number(value.toPrecision(3)));
    printError(`${plan.title}: ${size.toLocaleString("en")}: ${said.join(", ")}`);
  }
  const series = names.map((name, index) => ({
    name,
    // A logarithm has no zero.
    points: taken.map((size, at) => [size, Math.max(values[at]![index]!, 1e-6)] as const),
  }));
  const allowed = budget && {
    name: budget.name,
    dashed: true,
    points: taken.map((size) => [size, budget.value] as const),
  };
  const { id, title, why, x, y } = plan;
  return {
    ...{ id, title, why, x, y, ...origin },
    quick: flags.quick ?? false,
    series: allowed ? [...series, allowed] : series,
  };
}

const chosen = flags.only?.split(",") ?? plans.map(({ id }) => id);
const unknown = chosen.find((id) => !plans.some((plan) => plan.id === id));
if (unknown !== undefined) {
  printError(`no curve ${unknown}; there are ${plans.map(({ id }) => id).join(", ")}`);
  process.exit(1);
}
const startMs = performance.now();
const kept = new Map((await readCurves()).map((one) => [one.id, one]));
try {
  for (const plan of plans) {
    if (!chosen.includes(plan.id)) continue;
    kept.set(plan.id, await draw(plan));
    await writeCurves(plans.map(({ id }) => kept.get(id)).filter((one) => one !== undefined));
  }
  printError(`${((performance.now() - startMs) / 1000).toFixed(0)} s`);
} catch (error) {
  if (!stop.signal.aborted) throw error;
  printError("stopped");
  process.exitCode = 130;
}
