import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { processorMs } from "../src/bench/machine.ts";
import { channelStream } from "../src/broker/nats/streams/config.ts";
import { print, printError } from "../src/cli/output.ts";
import { partsOf } from "../src/core/partition.ts";
import { subjects as subjectsOf } from "../src/core/subject.ts";
import { connect } from "../src/nats/client.ts";
import { Children, started } from "../src/process/children.ts";
import { accepts, freePort, LOOPBACK } from "../src/process/ports.ts";
import { program } from "../src/process/programs.ts";
import type { PublishCase, PublishFigures, PublishOutcome, PublishRun } from "./page-publish.ts";
import { provenance } from "./provenance.ts";
import { Load, type Stretch } from "./publish-load.ts";
import { readPublish, writePublish } from "./render.ts";

/*
 * What publishing to the product's streams costs a NATS server, by how many channels are active and by what is dropped
 * for it: `npm run bench:publish`. Servers are named with `--server`; figures are kept by their version.
 */

const flags = new Command("publish-side")
  .option("--quick", "shorter and fewer cases, which show that everything works; keeps nothing")
  .option("--json", "print the figures as JSON")
  .option("--server <path...>", "nats-server programs (default: NATS_SERVER_BIN, or the one on PATH)")
  .parse()
  .opts<{ quick?: true; json?: true; server?: string[] }>();

const PACED_PER_SECOND = flags.quick ? 1_000 : 5_000;
/** Messages under way at full speed. */
const WINDOW = 256;
const AGE_MS = flags.quick ? 1_000 : 5_000;
/** Until as much is dropped as comes. */
const WARM_SECONDS = (AGE_MS / 1_000) * 1.3;
const SECONDS = flags.quick ? 1 : 3;
const FILL_SECONDS = flags.quick ? 2 : 30;
/** Messages of all channels together, where their number is the limit. */
const KEPT = flags.quick ? 5_000 : 100_000;
/** Longer than any case takes. */
const FOREVER_MS = 3_600_000;
const SETTLE_MS = 10_000;
const NAMESPACE = "chat";

const subjects = subjectsOf();
const runs: PublishRun[] = [];
for (const command of flags.server ?? [program("nats-server")]) {
  runs.push(await measureServer(command));
  if (!flags.quick) await keep();
}
if (flags.json) print(JSON.stringify(runs, null, 2));

async function keep(): Promise<void> {
  const kept = new Map([...(await readPublish()), ...runs].map((run) => [run.server, run]));
  const byVersion = [...kept.values()].sort((a, b) =>
    a.server.localeCompare(b.server, "en", { numeric: true }),
  );
  await writePublish(byVersion);
}

function cases(): PublishCase[] {
  const whole = flags.quick ? [10, 1_000] : [10, 100, 1_000, 3_000, 10_000, 100_000];
  const divided = flags.quick ? [1_000] : [1_000, 10_000];
  const sizes = [
    ...whole.map((channels) => ({ channels, partitions: 1 })),
    ...divided.flatMap((channels) => [4, 16, 64].map((partitions) => ({ channels, partitions }))),
  ];
  return [
    ...sizes.flatMap((size) => [
      { ...size, limit: "count" as const },
      { ...size, limit: "age" as const },
    ]),
    { channels: 1_000, partitions: 16, limit: "count", mapped: true },
  ];
}

async function measureServer(command: string): Promise<PublishRun> {
  const origin = await provenance();
  const outcomes: PublishOutcome[] = [];
  let server = "";
  for (const one of cases()) {
    const { version, outcome } = await measure(command, one);
    server = version;
    outcomes.push(outcome);
    const { paced, full } = outcome;
    printError(
      `${version} ${one.channels} channels, ${one.partitions} partitions${one.mapped ? ", mapped" : ""}, by ${one.limit}: ` +
        `${said(paced)}${full ? `; at full speed ${said(full)}` : ""}`,
    );
  }
  const plan = { pacedPerSecond: PACED_PER_SECOND, window: WINDOW, ageMs: AGE_MS, kept: KEPT };
  return { server, ...plan, ...origin, outcomes };
}

function said({ ratePerSecond, cpuMicros, p50Ms, p99Ms, refused }: PublishFigures): string {
  return (
    `${Math.round(ratePerSecond)}/s, ${cpuMicros.toFixed(0)} µs each, ack ${p50Ms.toFixed(1)} / ${p99Ms.toFixed(1)} ms` +
    (refused > 0 ? `, ${refused} refused` : "")
  );
}

/** One case on a server of its own: at a fixed rate first, then at full speed, each once it drops what it stores. */
async function measure(
  command: string,
  one: PublishCase,
): Promise<{ readonly version: string; readonly outcome: PublishOutcome }> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-bench-"));
  const children = new Children();
  try {
    const port = await freePort();
    const child = children.start({ role: "server", command, args: ["-c", await configure(dir, port, one)] });
    await started(child, command, () => accepts({ hostname: LOOPBACK, port }));
    const nc = await connect({ servers: `${LOOPBACK}:${port}` });
    const jsm = await nc.jetstreamManager();
    const { channels, partitions, limit } = one;
    const byCount = limit === "count";
    const size = byCount ? Math.max(1, Math.floor(KEPT / channels)) : 1_000_000;
    const history = { size, ageMs: byCount ? FOREVER_MS : AGE_MS, recoverLimit: 1, replicas: 1 };
    for (const part of partsOf(partitions)) {
      await jsm.streams.add(channelStream(subjects, { name: NAMESPACE, history }, false, part));
    }
    const load = new Load(nc, subjectsFor(one));
    const pid = child.process.pid!;
    if (byCount) await load.full(WINDOW, FILL_SECONDS, channels * size);
    else await load.paced(PACED_PER_SECOND, WARM_SECONDS);
    await load.settled(SETTLE_MS);
    const paced = await timed(pid, () => load.paced(PACED_PER_SECOND, SECONDS));
    await load.settled(SETTLE_MS);
    // By age, what is dropped at full speed is what came some seconds ago: nothing steady to measure.
    const full = byCount ? await timed(pid, () => load.full(WINDOW, SECONDS)) : undefined;
    const version = nc.info?.version ?? "?";
    await nc.close();
    return { version, outcome: { ...one, paced, ...(full && { full }) } };
  } finally {
    await children[Symbol.asyncDispose]();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Writes the server's configuration, with the mapping of the namespace where it has partitions. */
async function configure(dir: string, port: number, { partitions }: PublishCase): Promise<string> {
  const file = join(dir, "nats.conf");
  const entries = subjects.mapping(NAMESPACE, partitions).map(({ from, to }) => `  "${from}": "${to}"\n`);
  const mappings = partitions > 1 ? `mappings {\n${entries.join("")}}\n` : "";
  await writeFile(file, `listen: "${LOOPBACK}:${port}"\njetstream { store_dir: "${dir}/js" }\n${mappings}`);
  return file;
}

function subjectsFor({ channels, partitions, mapped }: PublishCase): string[] {
  return Array.from({ length: channels }, (_, index) => {
    const channel = { namespace: NAMESPACE, name: `room.${index}` };
    return mapped ? subjects.message(channel) : subjects.stored(channel, partitions);
  });
}

async function timed(pid: number, stretch: () => Promise<Stretch>): Promise<PublishFigures> {
  const before = processorMs(pid) ?? Number.NaN;
  const { published, seconds, acksMs, refused } = await stretch();
  const cpuMs = (processorMs(pid) ?? Number.NaN) - before;
  return {
    ratePerSecond: published / seconds,
    cpuMicros: (cpuMs * 1_000) / Math.max(1, published),
    p50Ms: percentile(acksMs, 0.5),
    p99Ms: percentile(acksMs, 0.99),
    refused,
  };
}

/** @param sorted ascending; nothing at all is 0 */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
