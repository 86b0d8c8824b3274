import { once } from "node:events";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { columns, print, printError } from "../src/cli/output.ts";
import { Children } from "../src/process/children.ts";
import { stage } from "./autoscale-stage.ts";
import type { DrainOrder, DrainTimes, Family } from "./drain-worker.ts";

/*
 * How clients of each family come back when an instance drains: `npm run bench:drain`. Stock clients are connected to one
 * instance behind HAProxy, a second one is started, and the first one drains. About a minute.
 */

const WORKER = fileURLToPath(new URL("./drain-worker.ts", import.meta.url).href);
const FAMILIES: readonly Family[] = ["centrifuge", "pusher"];
const KEY = "bench-key";
/** Shortest time in which clients that come together are counted. */
const SLICE_MS = 100;
/** Longest that is waited for clients that come back, ms. */
const PATIENCE_MS = 60_000;

const flags = new Command("drain")
  .option("-n, --clients <number>", "stock clients of each family", "5000")
  .option("--rate <number>", "drain.ratePerSecond", "1000")
  .option("--pusher-rate <number>", "drain.pusherRatePerSecond", "500")
  .option("--json", "print everything as JSON")
  .parse()
  .opts<{ clients: string; rate: string; pusherRate: string; json?: true }>();

const clients = Number(flags.clients);
const rates: Readonly<Record<Family, number>> = {
  centrifuge: Number(flags.rate),
  pusher: Number(flags.pusherRate),
};
const outcomes = [];
for (const family of FAMILIES) {
  printError(`${clients} stock clients of ${family}`);
  outcomes.push(await measure(family));
}
if (flags.json) print(JSON.stringify(outcomes, null, 2));
else {
  const label = (value: number, unit = "") => `${Math.round(value).toLocaleString("en")}${unit}`;
  print(
    columns([
      ["", ...FAMILIES],
      ["pace, a second", ...FAMILIES.map((family) => label(rates[family]))],
      ["drain took", ...outcomes.map(({ drainMs }) => `${(drainMs / 1000).toFixed(1)} s`)],
      ["back", ...outcomes.map(({ back }) => `${label(back)} of ${label(clients)}`)],
      [
        "lost to connected p50, p99",
        ...outcomes.map(({ p50, p99 }) => `${label(p50)}, ${label(p99, " ms")}`),
      ],
      ["most closed in a second", ...outcomes.map(({ goneSecond }) => label(goneSecond))],
      ["most back in a second", ...outcomes.map(({ backSecond }) => label(backSecond))],
      ["most closed in 100 ms", ...outcomes.map(({ goneSlice }) => label(goneSlice))],
      ["most back in 100 ms", ...outcomes.map(({ backSlice }) => label(backSlice))],
      ["processors used by the clients", ...outcomes.map(({ clientCores }) => clientCores.toFixed(2))],
      ["longest event-loop delay of who took them", ...outcomes.map(({ delayMs }) => label(delayMs, " ms"))],
    ]),
  );
}
process.exit(outcomes.every(({ back }) => back === clients) ? 0 : 1);

async function measure(family: Family) {
  const children = new Children();
  try {
    const on = await stage(children, {
      most: 2,
      drain: {
        ...{ ratePerSecond: rates.centrifuge, pusherRatePerSecond: rates.pusher, deadline: "25s" },
      },
      settings: { apps: [{ id: "bench", keys: [{ key: KEY, secret: KEY.repeat(4) }], namespace: "bench" }] },
    });
    await on.add();
    await on.ready();
    const child = children.start({ role: "worker", args: [WORKER] });
    const ask = async <T>(order: DrainOrder): Promise<T> => {
      const answer = once(child.process, "message");
      child.process.send(order);
      return (await answer)[0] as T;
    };
    const channel = family === "pusher" ? "load" : on.channel;
    await ask({ kind: "open", family, port: on.endpoint.port, clients, key: KEY, channel });
    await on.add();
    await sleep(2_000); // until the balancer has found it
    const [first, second] = on.instances;
    let delay = 0;
    const watching = setInterval(async () => {
      delay = Math.max(delay, (await on.metric(second!, "trunkline_event_loop_delay_seconds")) ?? 0);
    }, 200);
    const before = await ask<DrainTimes>({ kind: "report" });
    const beganMs = performance.now();
    first!.stop();
    const end = performance.now() + PATIENCE_MS;
    let times = before;
    while (performance.now() < end && (first!.state !== "gone" || times.back.length < clients)) {
      await sleep(500);
      times = await ask<DrainTimes>({ kind: "report" });
    }
    clearInterval(watching);
    const clientCores = (times.cpuMs - before.cpuMs) / (performance.now() - beganMs);
    const took = times.tookMs.toSorted((a, b) => a - b);
    const at = (percent: number) => took[Math.floor((took.length - 1) * (percent / 100))] ?? 0;
    return {
      ...{ family, drainMs: first!.drainMs, back: times.back.length, p50: at(50), p99: at(99) },
      ...{ goneSecond: most(times.gone, 1_000), backSecond: most(times.back, 1_000) },
      ...{ goneSlice: most(times.gone, SLICE_MS), backSlice: most(times.back, SLICE_MS) },
      ...{ delayMs: delay * 1000, clientCores },
    };
  } finally {
    children.kill();
    await children[Symbol.asyncDispose]();
  }
}

/** Most of these times that fall into a window of so many ms. */
function most(times: readonly number[], windowMs: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  let best = 0;
  for (let first = 0, last = 0; last < sorted.length; last++) {
    while (sorted[last]! - sorted[first]! >= windowMs) first++;
    best = Math.max(best, last - first + 1);
  }
  return best;
}
