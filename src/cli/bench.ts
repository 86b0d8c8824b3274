import process from "node:process";
import { SingleBar } from "cli-progress";
import { notes, toJson, toTable } from "../bench/report.ts";
import { isLoopback, type RunOptions, run, type Stage } from "../bench/run.ts";
import { scenarios } from "../bench/scenario.ts";
import { BenchError, control, remote, self, type TargetKind } from "../bench/targets.ts";
import { columns, complain, paint, print, UserError } from "./output.ts";

/** Flags as commander hands them over: numbers are text. */
export interface BenchFlags {
  readonly clients?: string;
  readonly rounds?: string;
  readonly workers?: string;
  readonly rate?: string;
  readonly seconds?: string;
  readonly target?: string;
  readonly channel?: string;
  readonly inbox?: boolean;
  readonly json?: boolean;
}

const SCENARIOS = Object.keys(scenarios) as (keyof typeof scenarios)[];

/** `trunkline bench <scenario>`: loads a target and a control in turn, and prints what both can do. */
export async function bench(flags: BenchFlags, args: readonly string[]): Promise<void> {
  const options = readOptions(flags, args[0]);
  const kinds = targets(flags.target ?? "self", flags.channel ?? "bench");

  const bar = progress();
  const stop = new AbortController();
  const interrupted = () => {
    if (stop.signal.aborted) process.exit(130); // the second time: children are killed on exit
    stop.abort();
  };
  process.on("SIGINT", interrupted).on("SIGTERM", interrupted);
  try {
    const rows = await run(options, kinds, stop.signal, bar.show);
    bar.stop();
    print(flags.json ? JSON.stringify(toJson(options, rows), null, 2) : report(options, rows));
    if (rows.some((row) => row.rounds.some(({ figures }) => !figures.joined))) process.exitCode = 1;
  } catch (error) {
    bar.stop();
    if (stop.signal.aborted) {
      complain("stopped");
      process.exitCode = 130;
    } else throw error instanceof BenchError ? new UserError(error.message) : error;
  } finally {
    process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
  }
}

function readOptions(flags: BenchFlags, name: string | undefined): RunOptions {
  const scenario = SCENARIOS.find((known) => known === name);
  if (!scenario) {
    throw new UserError(`which scenario? one of ${SCENARIOS.join(", ")}; such as: trunkline bench idle`);
  }
  return {
    scenario,
    clients: whole("--clients", flags.clients ?? "1000", 10_000_000),
    rounds: whole("--rounds", flags.rounds ?? "3", 100),
    workers: flags.workers === undefined ? undefined : whole("--workers", flags.workers, 1_000),
    inbox: flags.inbox ?? false,
    ratePerSecond: whole("--rate", flags.rate ?? "10", 100_000),
    seconds: whole("--seconds", flags.seconds ?? "10", 3_600),
  };
}

function whole(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UserError(`${flag} ${text}: it must be a whole number from 1 to ${most}`);
}

/** The control comes first: others are compared with it. */
function targets(target: string, channel: string): TargetKind[] {
  if (target === "bun") return [control];
  if (target === "self") return [control, self(process.env)];
  const url = URL.canParse(target) ? new URL(target) : undefined;
  if (url?.protocol !== "ws:") {
    throw new UserError(
      `--target ${target}: it must be self, bun, or the address of a trunkline, ws://host:port`,
    );
  }
  const secret = process.env.TRUNKLINE_TOKEN_SECRET;
  if (!secret) {
    throw new UserError("set TRUNKLINE_TOKEN_SECRET to the target's, to sign the clients' tokens with");
  }
  const apiKey = process.env.TRUNKLINE_API_KEYS?.split(",")[0]?.trim() ?? "";
  if (!apiKey && !process.env.NATS_URL) {
    throw new UserError("set NATS_URL or TRUNKLINE_API_KEYS to the target's, to publish with");
  }
  const there = remote({ url, channel, secret, apiKey }, process.env);
  // A control on this machine says nothing about a target on another.
  return isLoopback(url.hostname) ? [control, there] : [there];
}

function report(options: RunOptions, rows: Awaited<ReturnType<typeof run>>): string {
  const [head, ...lines] = columns(toTable(rows)).split("\n");
  const load =
    options.scenario === "broadcast" ? `, ${options.ratePerSecond} messages/s for ${options.seconds} s` : "";
  const title = `${options.scenario}: ${options.clients.toLocaleString("en")} clients${options.inbox ? " with inboxes" : ""}${load}`;
  return [
    paint("bold", title),
    paint("dim", head!),
    ...lines,
    "",
    ...notes(options, rows).map((note) => paint("dim", `· ${note}`)),
  ].join("\n");
}

/** A bar for each stage, on terminals. */
function progress(): { show(stage: Stage): void; stop(): void } {
  if (!process.stderr.isTTY) return { show() {}, stop() {} };
  const bar = new SingleBar({
    format: "{what} [{bar}] {value}/{total}",
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    barCompleteChar: "█",
    barIncompleteChar: "·",
  });
  let current = "";
  return {
    show({ round, target, name, done, total }) {
      const what = `round ${round}, ${target}: ${name}`.padEnd(36);
      if (what !== current) {
        bar.stop();
        bar.start(total, 0, { what });
        current = what;
      }
      bar.update(Math.min(done, total));
    },
    stop: () => bar.stop(),
  };
}
