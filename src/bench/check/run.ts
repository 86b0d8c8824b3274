import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { BenchError } from "../error.ts";
import { type CheckCounts, Checker } from "./checker.ts";
import { StockClients } from "./clients.ts";
import type { Sender } from "./send.ts";
import type { ReadStore } from "./store.ts";
import { startTraffic } from "./traffic.ts";
import { WRONGS } from "./watch.ts";

export interface CheckOptions {
  /** WebSocket addresses with their paths, all of one system. */
  readonly endpoints: readonly string[];
  readonly clients: number;
  readonly ratePerSecond: number;
  readonly seconds: number;
  /** Number of channels, and the prefix of their names, such as `chat:check`. */
  readonly channels: number;
  readonly prefix: string;
  readonly sender: Sender;
  /** What is to be compared at the end; without it, clients are compared with acknowledgements and each other. */
  readonly store?: ReadStore;
  readonly token: (number: number) => string;
  /** Ends the check early; the result covers what was seen until then. */
  readonly signal: AbortSignal;
  /** Each second. */
  readonly onSample?: (sample: CheckSample) => void;
}

/** State of a check, once a second. */
export interface CheckSample {
  readonly second: number;
  readonly clients: number;
  readonly connected: number;
  /** Clients that miss an acknowledged message, which is in transit or lost. */
  readonly waiting: number;
  readonly counts: CheckCounts;
  /** Connections lost and remade in the last full second. */
  readonly gone: number;
  readonly back: number;
}

export interface CheckResult {
  readonly verdict: "good" | "bad";
  /** The first few reasons of a bad verdict. */
  readonly problems: readonly string[];
  readonly seconds: number;
  readonly clients: number;
  readonly counts: CheckCounts;
  readonly reconnects: number;
  /** Clients without a subscription at the end. */
  readonly stranded: number;
  readonly disturbances: readonly DisturbanceFigures[];
  /** Connections lost and remade in each second. */
  readonly gonePerSecond: readonly number[];
  readonly backPerSecond: readonly number[];
  readonly reasons: Readonly<Record<string, number>>;
  /** Why the store was not compared; "" when it was. */
  readonly storeUnread: string;
}

/** A moment when connections broke, with the times until the affected clients got their next message. */
interface DisturbanceFigures {
  readonly second: number;
  readonly clients: number;
  /** Clients that have received nothing since. */
  readonly silent: number;
  readonly p50Ms: number | undefined;
  readonly maxMs: number | undefined;
}

/** Most messages of a run, and most deliveries to all clients: their records stay below 300 MB. */
const MOST_MESSAGES = 1_000_000;
const MOST_SEEN = 2_000_000_000;
const SETTLE_MS = 20_000;

/** Publishes to stock clients for the given time, and judges what they received. @throws BenchError */
export async function check(options: CheckOptions): Promise<CheckResult> {
  const { clients, ratePerSecond, seconds, sender, signal, onSample } = options;
  const messages = ratePerSecond * seconds;
  if (messages > MOST_MESSAGES || (messages / options.channels) * clients > MOST_SEEN) {
    throw new BenchError(
      "so many messages for so many clients cannot be remembered: fewer seconds, or a lower rate",
    );
  }
  // The channels belong to this run alone, so no foreign messages arrive in them.
  const run = randomBytes(4).toString("hex");
  const channels = Array.from({ length: options.channels }, (_, n) => `${options.prefix}.${run}.${n}`);
  const checker = new Checker();
  const { endpoints, token } = options;
  using crowd = new StockClients({ endpoints, clients, channels, token, checker });
  await crowd.connect();
  if (crowd.subscribed < clients) {
    const why = Object.entries(crowd.reasons).map(([reason, count]) => `${count} × ${reason}`);
    throw new BenchError(
      `${crowd.subscribed} of ${clients} clients came in: ${[...why, crowd.lastError].filter(Boolean).join(", ") || "no answer"}`,
    );
  }
  const beganAt = performance.now();
  const load = startTraffic({ checker, channels, ratePerSecond, senders: [sender] });
  for (let second = 1; second <= seconds && !signal.aborted; second++) {
    await sleep(beganAt + second * 1_000 - performance.now(), undefined, { signal }).catch(() => {});
    onSample?.(sampleOf(second, checker, crowd));
  }
  const lasted = (performance.now() - beganAt) / 1_000;
  await load.stop();
  const storeUnread = await finish(checker, options.store);
  return { ...resultOf(lasted, beganAt, checker, crowd), storeUnread };
}

/** Waits for what is on its way, and compares with the store if that can be. @returns why it cannot, or "" */
async function finish(checker: Checker, store: ReadStore | undefined): Promise<string> {
  let why = "nothing was given to read it with";
  if (store) {
    try {
      await checker.compare(store, SETTLE_MS);
      return "";
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
  }
  await checker.settle(SETTLE_MS);
  return why;
}

function sampleOf(second: number, checker: Checker, crowd: StockClients): CheckSample {
  const { gone, back } = crowd.lastSecond;
  return {
    second,
    clients: crowd.size,
    connected: crowd.connected,
    waiting: checker.waiting,
    counts: checker.counts,
    gone,
    back,
  };
}

function resultOf(
  seconds: number,
  beganAt: number,
  checker: Checker,
  crowd: StockClients,
): Omit<CheckResult, "storeUnread"> {
  const { counts } = checker;
  const stranded = crowd.size - crowd.subscribed;
  const problems = [
    ...WRONGS.filter((wrong) => counts[wrong] > 0).map((wrong) => `${counts[wrong]} ${wrong}`),
    ...(counts.forgotten > 0 && counts.discontinuities === 0
      ? [`${counts.forgotten} acknowledged messages are gone from the store, and nobody was told`]
      : []),
    ...(counts.repeated > 0 && counts.forgotten === 0
      ? [`${counts.repeated} messages came again after a gap, and the store had lost nothing`]
      : []),
    ...(stranded > 0 ? [`${stranded} clients did not come back`] : []),
    ...(counts.deliveries === 0 ? [`nothing was delivered (${counts.failed} publishes failed)`] : []),
    ...checker.violations,
  ];
  return {
    verdict: problems.length > 0 ? "bad" : "good",
    problems,
    seconds,
    clients: crowd.size,
    counts,
    reconnects: crowd.reconnects,
    stranded,
    disturbances: crowd.disturbances.map(({ at, clients, backMs }) => ({
      second: (at - beganAt) / 1_000,
      clients,
      silent: clients - backMs.length,
      p50Ms: backMs[Math.floor(backMs.length / 2)],
      maxMs: backMs.at(-1),
    })),
    gonePerSecond: crowd.rhythm.gone,
    backPerSecond: crowd.rhythm.back,
    reasons: crowd.reasons,
  };
}
